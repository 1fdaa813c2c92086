package egress

import "sync"

// batch gathers what several goroutines want done while an earlier batch is still being worked on, as a database groups
// commits: a thousand sandboxes that come or go at once share their system calls and the kernel's grace periods.
type batch[T any] struct {
	do func([]T) error // does them all; its error is everybody's

	mu      sync.Mutex
	waiting []T
	answer  chan struct{} // closed when the batch that is waiting now has been done
	err     *error
	running bool
}

// run has t done and returns the error of its batch.
func (b *batch[T]) run(t T) error {
	b.mu.Lock()
	if b.answer == nil {
		b.answer, b.err = make(chan struct{}), new(error)
	}
	b.waiting = append(b.waiting, t)
	answer, err := b.answer, b.err
	if !b.running {
		b.running = true
		go b.loop()
	}
	b.mu.Unlock()
	<-answer
	return *err
}

func (b *batch[T]) loop() {
	for {
		b.mu.Lock()
		todo, answer, err := b.waiting, b.answer, b.err
		b.waiting, b.answer, b.err = nil, nil, nil
		if len(todo) == 0 {
			b.running = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		*err = b.do(todo)
		close(answer)
	}
}
