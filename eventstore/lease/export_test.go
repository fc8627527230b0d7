package lease

import "context"

// SetHolder pretends that another process holds an operation.
func SetHolder(h *Held, change func(*Operation)) error {
	return h.write(context.Background(), func(o *Operation) bool {
		change(o)
		return true
	})
}

// OwnPlace is where the ids of processes are valid that this process sees.
var OwnPlace = ownPlace
