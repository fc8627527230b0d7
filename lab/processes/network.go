package processes

import "errors"

// ErrNoNetwork is matched if a [Network] cannot be created here: it needs Linux, root and
// the command ip of iproute2. The error says what is missing.
var ErrNoNetwork = errors.New("no network of its own can be made here")
