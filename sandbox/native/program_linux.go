package native

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// program is a list of system calls under construction, with the data they point to. It is built in the server and
// executed by an init. Nothing in it is checked by the init: the server is the more trusted of the two.
type program struct {
	ops    []op
	names  []string // per op, for errors
	points [][6]bool
	data   []byte
	links  []link
	send   uint32
	rets   byte
}

// link says that the eight data bytes at from hold the address of the data at to.
type link struct{ from, to int }

// An operand of a call: a number, the address of data, or a register.
type operand struct {
	v    uintptr
	kind byte // 0 number, 1 address, 2 register
}

type register uint8

// received is the register of the i-th descriptor that is sent with the program.
func received(i int) register { return register(i + 1) }

func num(v int) operand { return operand{v: uintptr(v)} }

func (r register) op() operand { return operand{v: uintptr(r), kind: 2} }

// bytes adds data, aligned to eight.
func (p *program) bytes(b []byte) operand {
	for len(p.data)%8 != 0 {
		p.data = append(p.data, 0)
	}
	at := len(p.data)
	p.data = append(p.data, b...)
	return operand{v: uintptr(at), kind: 1}
}

// str adds a string that ends in a zero byte.
func (p *program) str(s string) operand {
	at := len(p.data)
	p.data = append(append(p.data, s...), 0)
	return operand{v: uintptr(at), kind: 1}
}

// strs adds an array of strings as execve wants it.
func (p *program) strs(list []string) operand {
	at := make([]operand, len(list))
	for i, s := range list {
		at[i] = p.str(s)
	}
	array := p.bytes(make([]byte, 8*(len(list)+1)))
	for i, a := range at {
		p.links = append(p.links, link{int(array.v) + 8*i, int(a.v)})
	}
	return array
}

// call adds a system call; what names it in errors.
func (p *program) call(what string, nr uintptr, args ...operand) *op {
	o := op{nr: nr}
	var points [6]bool
	for i, a := range args {
		o.arg[i] = a.v
		switch a.kind {
		case 1:
			points[i] = true
		case 2:
			o.regs |= 1 << i
		}
	}
	p.ops = append(p.ops, o)
	p.names = append(p.names, what)
	p.points = append(p.points, points)
	return &p.ops[len(p.ops)-1]
}

// result keeps the result of the last call in a register.
func (p *program) result() register {
	p.rets++
	r := maxFDs + p.rets
	p.ops[len(p.ops)-1].save = r
	return register(r)
}

// allow makes the last call succeed when it fails with errno.
func (p *program) allow(errno syscall.Errno) { p.ops[len(p.ops)-1].okErr = uint16(errno) }

// fork has the calls that body adds executed in a child, whose id the init remembers as the function's process.
func (p *program) fork(body func()) {
	p.call("fork", opFork)
	at := len(p.ops)
	body()
	p.ops[at-1].arg[0] = uintptr(len(p.ops) - at)
}

// answer sends the descriptor in r back with the answer and closes it in the init.
func (p *program) answer(r register) { p.send = uint32(r) }

// assemble lays the program out for a region at base.
func (p *program) assemble(base uintptr) ([]byte, error) {
	headSize, opSize := int(unsafe.Sizeof(header{})), int(unsafe.Sizeof(op{}))
	dataAt := headSize + len(p.ops)*opSize
	size := dataAt + len(p.data)
	if size > programMax {
		return nil, fmt.Errorf("%d bytes of arguments and environment: %w", len(p.data), unix.E2BIG)
	}
	abs := base + programAt + uintptr(dataAt)
	blob := make([]byte, size)
	binary.NativeEndian.PutUint32(blob[0:], uint32(len(p.ops)))
	binary.NativeEndian.PutUint32(blob[4:], p.send)
	for i := range p.ops {
		o := p.ops[i]
		for j := range o.arg {
			if p.points[i][j] {
				o.arg[j] += abs
			}
		}
		copy(blob[headSize+i*opSize:], unsafe.Slice((*byte)(unsafe.Pointer(&o)), opSize))
	}
	copy(blob[dataAt:], p.data)
	for _, l := range p.links {
		binary.NativeEndian.PutUint64(blob[dataAt+l.from:], uint64(abs)+uint64(l.to))
	}
	return blob, nil
}

// name tells which call an op was.
func (p *program) name(i uint32) string {
	if int(i) < len(p.names) {
		return p.names[i]
	}
	return fmt.Sprintf("call %d", i)
}
