package lease

import "context"

// SetProcess pretends that another process of this machine holds an operation.
func SetProcess(h *Held, pid int) error {
	return h.write(context.Background(), func(o *Operation) bool {
		o.PID = pid
		return true
	})
}
