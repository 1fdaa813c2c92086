package function

import (
	"fmt"

	"mayfly"
)

// The texts below are Lambda's own: people and tools match on them.

func invalid(format string, args ...any) *mayfly.Error {
	return &mayfly.Error{Kind: mayfly.KindInvalid, Code: "InvalidParameterValueException", Message: fmt.Sprintf(format, args...)}
}

func errFunctionNotFound(arn string) *mayfly.Error {
	return mayfly.Errorf(mayfly.KindNotFound, "Function not found: %s", arn)
}

func errExists(name string) *mayfly.Error {
	return mayfly.Errorf(mayfly.KindConflict, "Function already exist: %s", name)
}

func errBusy(v *mayfly.Version) *mayfly.Error {
	if v.State == mayfly.StatePending {
		return mayfly.Errorf(mayfly.KindConflict, "The operation cannot be performed at this time. The function is currently in the following state: Pending")
	}
	return mayfly.Errorf(mayfly.KindConflict, "The operation cannot be performed at this time. An update is in progress for resource: %s", v.ARN())
}

func errRevision() *mayfly.Error {
	return mayfly.Errorf(mayfly.KindPrecondition, "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
}

func errStorage() *mayfly.Error {
	return &mayfly.Error{Kind: mayfly.KindQuota, Code: "CodeStorageExceededException", Message: "Code storage limit exceeded."}
}

func errEmptyZip() *mayfly.Error { return invalid("Uploaded file must be a non-empty zip") }

// errBadZip says what Lambda says and, where we know it, what is wrong.
func errBadZip(detail string) *mayfly.Error {
	const text = "Could not unzip uploaded file. Please check your file, then try to upload again."
	if detail == "" {
		return invalid(text)
	}
	return invalid("%s (%s)", text, detail)
}

func errUnzippedSize(limit int64) *mayfly.Error {
	return invalid("Unzipped size must be smaller than %d bytes", limit)
}

// errZipSize is what Lambda answers to a package over 50 MB in the request. The figure is not of the package but of the
// request that carries it: base64 and the other parameters.
func errZipSize(limit int64, operation string) *mayfly.Error {
	request := int64(70167211) // for the default of 50 MB
	if limit != 50<<20 {
		request = (limit+2)/3*4 + 262144
	}
	return &mayfly.Error{Kind: mayfly.KindTooLarge, Code: "RequestEntityTooLargeException",
		Message: fmt.Sprintf("Request must be smaller than %d bytes for the %s operation", request, operation)}
}

func errClosed() *mayfly.Error {
	return mayfly.Errorf(mayfly.KindUnavailable, "the server is shutting down: functions cannot be changed now")
}
