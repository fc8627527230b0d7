package gateway

import (
	"fmt"
	"sync"
	"time"
)

const (
	// refusedOriginPause is the minimum time between two log lines about one refused origin.
	refusedOriginPause = time.Minute
	// maxRefusedOrigins bounds the origins that are logged, and therefore remembered, in
	// that time. All further origins share one line.
	maxRefusedOrigins = 64
	// maxLoggedOrigin bounds the logged part of an origin, in bytes.
	maxLoggedOrigin = 256
)

// refusedOrigins decides which refused origins are logged. The zero value is ready to use,
// and it may be used concurrently.
type refusedOrigins struct {
	mu   sync.Mutex // guards last
	last map[string]*spoken
}

// otherOrigins is the common name of the origins beyond maxRefusedOrigins.
const otherOrigins = "others"

// note reports whether a refusal is to be logged now, under which name, and how many under
// that name were not logged since the last one.
func (r *refusedOrigins) note(origin string, now time.Time) (name string, silent int, say bool) {
	name = origin[:min(len(origin), maxLoggedOrigin)]
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last[name] == nil && len(r.last) >= maxRefusedOrigins {
		for old, line := range r.last {
			if now.Sub(line.at) >= refusedOriginPause {
				delete(r.last, old)
			}
		}
		if len(r.last) >= maxRefusedOrigins {
			name = otherOrigins
		}
	}
	line := r.last[name]
	switch {
	case line == nil:
		if r.last == nil {
			r.last = make(map[string]*spoken)
		}
		line = &spoken{}
		r.last[name] = line
	case now.Sub(line.at) < refusedOriginPause:
		line.silent++
		return name, 0, false
	}
	silent, line.at, line.silent = line.silent, now, 0
	return name, silent, true
}

// logRefusedOrigin logs a refused origin and the setting that would allow it.
func (g *Gateway) logRefusedOrigin(origin string) {
	name, silent, say := g.refusedOrigins.note(origin, time.Now())
	if !say {
		return
	}
	remedy := fmt.Sprintf("add %s to SOCKET_CLIENT_ORIGIN, or set PUBLIC_URL to it where it is the address of this service", name)
	switch name {
	case "":
		remedy = "set SOCKET_REQUIRE_ORIGIN=false to admit clients that send no Origin"
	case "null":
		remedy = "sandboxed frames and local files send null; only SOCKET_CLIENT_ORIGIN=* admits them"
	case otherOrigins:
		remedy = "SOCKET_CLIENT_ORIGIN lists the origins that may connect"
	}
	g.logger.Warn("origin refused", "origin", name, "remedy", remedy, "silent", silent)
}
