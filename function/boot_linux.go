package function

import (
	"os"
	"strings"
)

// bootID names the running boot of the machine; "" when it cannot be told.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
