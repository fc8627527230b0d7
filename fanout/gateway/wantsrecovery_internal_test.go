package gateway

import (
	"net/http"
	"testing"
)

// TestHandshakesOfJavaScript has what the handshakes of libraries look like.
func TestHandshakesOfJavaScript(t *testing.T) {
	t.Parallel()
	const compression = "permessage-deflate; client_max_window_bits"
	for _, test := range []struct {
		name, agent, extensions, language, origin string
		want                                      bool
	}{
		{name: "ws on Node", extensions: compression, want: true},
		{name: "polling on Node", agent: "node-XMLHttpRequest", want: true},
		{name: "Chromium", agent: "Mozilla/5.0 (X11; Linux x86_64)", extensions: compression, language: "en-US", origin: "http://a.test", want: true},
		{name: "React Native on Android", agent: "okhttp/4.12.0", extensions: "permessage-deflate", origin: "http://a.test", want: true},
		{name: "Java", agent: "okhttp/4.12.0", extensions: "permessage-deflate"},
		{name: "websocket-client in Python", origin: "http://a.test"},
		{name: "aiohttp", agent: "Python/3.13 aiohttp/3.11", extensions: compression},
		{name: "requests", agent: "python-requests/2.32"},
		{name: "Dart", agent: "Dart/3.5 (dart:io)", extensions: compression},
		{name: "Go", agent: "Go-http-client/1.1"},
		{name: "nothing"},
	} {
		header := http.Header{}
		for name, value := range map[string]string{
			"User-Agent": test.agent, "Sec-Websocket-Extensions": test.extensions, "Accept-Language": test.language, "Origin": test.origin,
		} {
			if value != "" {
				header.Set(name, value)
			}
		}
		if got := isJavaScript(header); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}
