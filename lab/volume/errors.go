package volume

import "errors"

// ErrNoVolume is matched if no volume can be mounted on this machine.
var ErrNoVolume = errors.New("no volume that loses power can be mounted here")
