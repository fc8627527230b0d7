package config

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// UnixSocket returns the path of the UNIX socket that LISTEN names, if it names one.
func (c Config) UnixSocket() (path string, found bool) {
	path, found = strings.CutPrefix(c.Listen, "unix:")
	return path, found && filepath.IsAbs(path) && len(path) <= maxUnixPath
}

// maxUnixPath is the longest path of a UNIX socket, sun_path of unix(7) without its final
// zero.
const maxUnixPath = 107

// SocketMode returns LISTEN_MODE.
func (c Config) SocketMode() (fs.FileMode, error) {
	mode, err := strconv.ParseUint(c.ListenMode, 8, 32)
	if err != nil || mode > uint64(fs.ModePerm) {
		return 0, fmt.Errorf("%q is no octal mode up to 0777", c.ListenMode)
	}
	return fs.FileMode(mode), nil
}
