// Package sts speaks the STS API (query protocol, XML answers): who the caller is, and temporary credentials of roles.
// Operations that are not in the table of service.go answer NotImplemented.
package sts
