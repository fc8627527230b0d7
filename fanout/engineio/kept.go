package engineio

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// maxKeptBytes bounds the part of the request that a session keeps.
const maxKeptBytes = 8 << 10

// keepable reports whether the part of a request that would be kept is within the bound.
func keepable(r *http.Request, headers []string) bool {
	size := len(r.URL.Path) + len(r.URL.RawQuery) + len(r.Host)
	for _, name := range headers {
		for _, value := range r.Header.Values(name) {
			size += len(name) + len(value)
		}
	}
	return size <= maxKeptBytes
}

// keptRequest is the part of a request that is kept after the handshake, with a third of
// the memory of the [http.Request]. Its strings share one allocation.
type keptRequest struct {
	path, query, host, remote string
	major, minor              uint8
	headers                   []keptHeader
}

// keptHeader is one value of a header; its name is one of [Config.KeepHeaders].
type keptHeader struct{ name, value string }

// keepRequest copies the part of a request that is kept after the handshake.
func keepRequest(r *http.Request, names []string) keptRequest {
	var text strings.Builder
	for _, part := range []string{r.URL.Path, r.URL.RawQuery, r.Host, r.RemoteAddr} {
		text.WriteString(part)
	}
	count := 0
	for _, name := range names {
		for _, value := range r.Header.Values(name) {
			text.WriteString(value)
			count++
		}
	}
	rest := strings.Clone(text.String()) // of the exact size
	take := func(part string) string {
		taken := rest[:len(part)]
		rest = rest[len(part):]
		return taken
	}
	kept := keptRequest{
		path: take(r.URL.Path), query: take(r.URL.RawQuery), host: take(r.Host), remote: take(r.RemoteAddr),
		major: uint8(r.ProtoMajor), minor: uint8(r.ProtoMinor), // #nosec G115 -- net/http accepts versions of one digit each
		headers: make([]keptHeader, 0, count),
	}
	for _, name := range names {
		for _, value := range r.Header.Values(name) {
			kept.headers = append(kept.headers, keptHeader{name, take(value)})
		}
	}
	return kept
}

// get returns the first value of a header, or "".
func (k *keptRequest) get(name string) string {
	for _, header := range k.headers {
		if strings.EqualFold(header.name, name) {
			return header.value
		}
	}
	return ""
}

// request returns the request as net/http parsed it, without the parts that were not kept.
func (k *keptRequest) request() *http.Request {
	r := &http.Request{
		Method:     http.MethodGet, // the only one that opens a session
		URL:        &url.URL{Path: k.path, RawQuery: k.query},
		Proto:      fmt.Sprintf("HTTP/%d.%d", k.major, k.minor),
		ProtoMajor: int(k.major),
		ProtoMinor: int(k.minor),
		Host:       k.host,
		RemoteAddr: k.remote,
		Header:     make(http.Header, len(k.headers)),
	}
	for _, header := range k.headers {
		r.Header.Add(header.name, header.value)
	}
	return r
}
