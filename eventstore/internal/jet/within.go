package jet

import "context"

// within calls the NATS client and returns when the call has, or when ctx has
// ended. The client keeps a lock while it dials a server, for seconds and whatever
// the context of a call says. The goroutine of a call that was given up ends once
// the client has dialled.
func Within[T any](ctx context.Context, call func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		value, err := call()
		answered <- answer{value, err}
	}()
	select {
	case a := <-answered:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
