// Package sigv4 verifies AWS Signature Version 4 on incoming HTTP requests, in the Authorization header and in the
// presigned query form. It is the server's half of what AWS's SDKs do when they sign; the rules are those of
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
//
// Parse reads what a request claims, Verifier.Verify proves it against the secret of the named access key. What can go
// wrong is an *Error with a Reason; its Wire method has the error code, status and message that AWS uses in each family
// of protocols, which differ for the same fault.
package sigv4
