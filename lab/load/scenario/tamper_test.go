package scenario_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// tamper stands in front of a gateway and breaks what it says. The zero value
// breaks nothing.
type tamper struct {
	// drop and repeat every so manieth event; 0: none.
	drop, repeat int64
	// swap sends the so manieth event of each socket behind its successor; 0: none.
	swap int
	// page changes the metrics page.
	page func(map[string]any)
	// replace are old and new pieces of what the server says, in turns.
	replace []string
	// late holds every error of the server back.
	late time.Duration

	events atomic.Int64
}

// front puts it before a gateway and returns its address.
func (x *tamper) front(t *testing.T, gateway string) string {
	t.Helper()
	target, err := url.Parse(gateway)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{ // without forwarding headers: the gateway sees a local request
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, ModifyResponse: x.changePage,
		Transport: &http.Transport{DisableKeepAlives: true},
	}
	mux := http.NewServeMux()
	mux.Handle("/", proxy)
	var relays sync.WaitGroup
	mux.HandleFunc("/ws/", func(w http.ResponseWriter, r *http.Request) {
		relays.Add(1)
		defer relays.Done()
		x.relay(t, w, r, "ws://"+target.Host+"/ws/?"+r.URL.RawQuery)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.Close()
		relays.Wait()
	})
	return server.URL
}

func (x *tamper) changePage(response *http.Response) error {
	if x.page == nil || !strings.HasSuffix(response.Request.URL.Path, "/internal/realtime/metrics") {
		return nil
	}
	var page map[string]any
	if err := json.NewDecoder(response.Body).Decode(&page); err != nil {
		return err
	}
	x.page(page)
	text, err := json.Marshal(page)
	response.Body = io.NopCloser(bytes.NewReader(text))
	response.ContentLength = int64(len(text))
	response.Header.Del("Content-Length")
	return err
}

// relay passes packets on until either side ends.
func (x *tamper) relay(t *testing.T, w http.ResponseWriter, r *http.Request, address string) {
	header := http.Header{}
	if origin := r.Header.Get("Origin"); origin != "" {
		header.Set("Origin", origin)
	}
	server, _, err := websocket.DefaultDialer.DialContext(r.Context(), address, header)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	client, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		t.Error(err)
		_ = server.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { // ends with the client's connection
		defer func() { _ = server.Close() }()
		for {
			kind, packet, err := client.ReadMessage()
			if err != nil || server.WriteMessage(kind, packet) != nil {
				return
			}
		}
	})
	x.answer(client, server)
	_ = client.Close()
	both.Wait()
}

// answer passes on what the server says, or something else.
func (x *tamper) answer(client, server *websocket.Conn) {
	var held []byte
	for own := 0; ; {
		kind, packet, err := server.ReadMessage()
		if err != nil {
			return
		}
		packet = []byte(strings.NewReplacer(x.replace...).Replace(string(packet)))
		packets := [][]byte{packet}
		if bytes.Contains(packet, []byte(`["novel.domain-event"`)) {
			n := x.events.Add(1)
			own++
			switch {
			case held != nil:
				packets, held = append(packets, held), nil
			case x.drop > 0 && n%x.drop == 0:
				packets = nil
			case x.repeat > 0 && n%x.repeat == 0:
				packets = append(packets, packet)
			case own == x.swap:
				packets, held = nil, packet
			}
		}
		if bytes.Contains(packet, []byte(`["novel.error"`)) {
			time.Sleep(x.late) // what is broken is time
		}
		for _, packet := range packets {
			if client.WriteMessage(kind, packet) != nil {
				return
			}
		}
	}
}
