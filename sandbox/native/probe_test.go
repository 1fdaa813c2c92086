//go:build linux

package native_test

func probe() {}
