package jet

import (
	"context"
	"fmt"
	"runtime/debug"
)

// Within calls the NATS client and returns when the call has, or when ctx has
// ended. The client keeps a lock while it dials a server, for seconds and whatever
// the context of a call says. The goroutine of a call that was given up ends once
// the client has dialled, and its outcome is dropped. A call that panics makes Within
// panic, in the goroutine of its caller, who contains it.
func Within[T any](ctx context.Context, call func() (T, error)) (T, error) {
	type answer struct {
		value    T
		err      error
		panicked any
	}
	answered := make(chan answer, 1)
	go func() { // ends with the call
		defer func() {
			if cause := recover(); cause != nil {
				answered <- answer{panicked: fmt.Sprintf("%v\n%s", cause, debug.Stack())}
			}
		}()
		value, err := call()
		answered <- answer{value: value, err: err}
	}()
	select {
	case a := <-answered:
		if a.panicked != nil {
			panic(a.panicked)
		}
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
