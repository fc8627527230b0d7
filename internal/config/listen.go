package config

import (
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
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

// ACMEHostNames returns the names of ACME_HOSTS.
func (c Config) ACMEHostNames() (hosts []string) {
	for host := range strings.SplitSeq(c.ACMEHosts, ",") {
		if host = strings.ToLower(strings.TrimSpace(host)); host != "" {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// maxACMEHosts bounds the names, each of which is a certificate of its own.
const maxACMEHosts = 100

// areACMEHosts reports whether a list names hosts for which an authority issues certificates.
func areACMEHosts(hosts []string) bool {
	return len(hosts) <= maxACMEHosts && !slices.ContainsFunc(hosts, func(host string) bool {
		return !strings.Contains(host, ".") || strings.ContainsAny(host, "*:/ ") || net.ParseIP(host) != nil
	})
}

// SpeaksTLS reports whether the public port does.
func (c Config) SpeaksTLS() bool { return c.TLSCert != "" || c.ACMEHosts != "" }

// SocketMode returns LISTEN_MODE.
func (c Config) SocketMode() (fs.FileMode, error) {
	mode, err := strconv.ParseUint(c.ListenMode, 8, 32)
	if err != nil || mode > uint64(fs.ModePerm) {
		return 0, fmt.Errorf("%q is no octal mode up to 0777", c.ListenMode)
	}
	return fs.FileMode(mode), nil
}
