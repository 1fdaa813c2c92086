package pool

import "fmt"

// state is an instance's place in its life. Transitions not listed in next do not happen: a bug shows as a refused
// transition, not as an instance that serves two calls.
type state int

const (
	starting  state = iota // sandbox and runtime are being made
	busy                   // has an invocation
	finishing              // has answered, but its runtime has not asked for the next event yet
	idle                   // waits
	dead                   // is being or has been destroyed
)

func (s state) String() string {
	return [...]string{"starting", "busy", "finishing", "idle", "dead"}[s]
}

var next = map[state][]state{
	starting:  {busy, dead},
	busy:      {finishing, idle, dead},
	finishing: {idle, busy, dead},
	idle:      {busy, dead},
}

// to moves the instance to another state; the group's lock is held. It reports false when the move is not allowed.
func (i *Instance) to(s state) bool {
	for _, ok := range next[i.state] {
		if ok == s {
			i.pool.count(i.state, -1)
			i.state = s
			i.since = i.pool.now()
			if s != dead {
				i.pool.count(s, +1)
			}
			return true
		}
	}
	if i.state != dead { // ending twice is ordinary: a crash and a timeout can meet
		i.pool.log.Error("instance state machine refused a transition", "instance", i.id, "transition", fmt.Sprintf("%v → %v", i.state, s))
	}
	return false
}
