package sandboxtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const helperArg = "sandboxtest-helper"

// Helper is the program that the suite runs inside sandboxes: the test binary itself, mounted at /var/task. TestMain
// calls it first; it returns at once in the test process.
func Helper() {
	if len(os.Args) < 3 || os.Args[1] != helperArg {
		return
	}
	if err := help(os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Command is the argument list that has the helper do something.
func Command(words ...string) []string {
	return append([]string{"/var/task/" + filepath.Base(executable()), helperArg}, words...)
}

func executable() string {
	path, err := os.Executable()
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		panic(err)
	}
	return path
}

// report is what "report" prints.
type report struct {
	Args []string
	Env  []string
	Dir  string
}

func help(what string, args []string) error {
	switch what {
	case "exit":
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		os.Exit(n)
	case "signal":
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		if err := syscall.Kill(os.Getpid(), syscall.Signal(n)); err != nil {
			return err
		}
		time.Sleep(time.Hour) // the signal ends it
	case "report":
		dir, err := os.Getwd()
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(report{args, os.Environ(), dir})
	case "streams":
		fmt.Fprint(os.Stdout, "to stdout")
		fmt.Fprint(os.Stderr, "to stderr")
		n, err := io.Copy(io.Discard, os.Stdin)
		if n != 0 || err != nil {
			return fmt.Errorf("stdin: %d bytes, %w", n, err)
		}
	case "echo":
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	case "cat":
		b, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		os.Stdout.Write(b)
	case "write":
		return os.WriteFile(args[0], []byte("x"), 0o644)
	case "call":
		c, err := net.DialTimeout("tcp", args[0], 5*time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = io.Copy(os.Stdout, c)
		return err
	case "obey": // do what the server says
		c, err := net.DialTimeout("tcp", args[0], 5*time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		order, err := io.ReadAll(c)
		if err != nil {
			return err
		}
		words := strings.Split(string(order), "\n")
		return help(words[0], words[1:])
	case "wait":
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "tick":
		fmt.Println("ready")
		for {
			fmt.Print(".")
			time.Sleep(time.Millisecond)
		}
	case "family": // a child and a grandchild that outlive nobody
		child := exec.Command(os.Args[0], helperArg, "wait")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			return err
		}
		time.Sleep(time.Hour)
	default:
		return fmt.Errorf("no such command %q", what)
	}
	return nil
}
