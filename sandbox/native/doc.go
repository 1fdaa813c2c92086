// Package native is the driver that confines function instances with the Linux kernel's own means: namespaces, control
// groups, seccomp, no capabilities. It needs Linux 5.12 and root.
//
// Three kinds of processes take part:
//
//   - The server holds the Driver. It never enters a namespace of a sandbox and never forks itself for one.
//   - The spawner is the server's executable started once more when the driver is made (IsInit, InitMain). It lives in a
//     mount namespace of its own that holds nothing but the files every sandbox sees, and forks the init of each
//     sandbox. It holds no secrets: its memory is what a fresh start of the executable has.
//   - The init is process 1 of a sandbox: a fork of the spawner that never runs ordinary Go code again. It executes
//     programs (lists of system calls, see program) that the server sends it over a socket, forks the function's
//     process, reaps, and reports. When the socket closes because the server is gone, it exits, and the kernel kills
//     everything in its process namespace.
//
// The record of why is docs/adr/0002-sandbox-init.md; what is promised and how it is tested, docs/threat-model.md.
package native
