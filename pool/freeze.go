package pool

import (
	"context"
	"time"

	"mayfly/sandbox"
)

// frost keeps an idle instance's processes from running: what a function left behind in the background neither runs nor is
// charged between invocations, as on Lambda. Freezing begins some time after the instance became idle, so that calls in a
// row never meet it. Guarded by group.mu.
type frost struct {
	timer  *time.Timer
	stop   context.CancelFunc // of freezing, under way or done; nil while the instance is warm
	frozen chan struct{}      // closed when freezing has ended, well or not
}

// freezeLater is called when the instance has become idle. The group's lock is held.
func (i *Instance) freezeLater() {
	if i.pool.FreezeAfter <= 0 {
		return
	}
	if i.frost.timer == nil {
		i.frost.timer = time.AfterFunc(i.pool.FreezeAfter, i.freeze)
		return
	}
	i.frost.timer.Reset(i.pool.FreezeAfter)
}

// stayWarm is called when the instance is not idle any more. The group's lock is held.
func (i *Instance) stayWarm() {
	if i.frost.timer != nil {
		i.frost.timer.Stop()
	}
}

// freeze stops the processes of an instance that is still idle.
func (i *Instance) freeze() {
	box, ok := i.box.(sandbox.Freezer)
	if !ok {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	g := i.group
	g.mu.Lock()
	if i.state != idle || i.frost.stop != nil {
		g.mu.Unlock()
		return
	}
	done := make(chan struct{})
	i.frost.stop, i.frost.frozen = stop, done
	g.mu.Unlock()
	defer close(done)
	if err := box.Freeze(ctx); err != nil && ctx.Err() == nil {
		select {
		case <-i.destroyed:
		default:
			i.pool.log.Warn("an idle instance cannot be frozen", "instance", i.id, "error", err)
		}
	}
}

// thaw lets the processes run again before they get an event. Freezing that is under way is called off.
func (i *Instance) thaw() {
	g := i.group
	g.mu.Lock()
	stop, frozen := i.frost.stop, i.frost.frozen
	i.frost.stop, i.frost.frozen = nil, nil
	g.mu.Unlock()
	if stop == nil {
		return
	}
	stop()
	<-frozen
	if err := i.box.(sandbox.Freezer).Thaw(); err != nil {
		i.pool.log.Error("an instance cannot be thawed", "instance", i.id, "error", err)
		i.destroyBox() // its invocation fails at once rather than at its timeout
	}
}
