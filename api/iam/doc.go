// Package iam speaks the IAM API (query protocol, XML answers): roles, their policies, and customer managed policies, as
// deploy scripts need them. What is stored is answered; enforcing it comes later. Operations that are not in the table of
// service.go answer NotImplemented.
package iam
