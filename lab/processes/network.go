package processes

import "errors"

// ErrNoNetwork is matched when a [Network] cannot be made here: it needs Linux, root
// and ip of iproute2. The error says what is missing.
var ErrNoNetwork = errors.New("no network of its own can be made here")
