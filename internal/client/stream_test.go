package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/letswriteabook/realtime/internal/client"
)

// A stream behind tokens is followed with one.
func TestFollowSendsTheToken(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "a token is needed", http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, "event: e\nid: 1\ndata: {}\n\n")
	}))
	t.Cleanup(server.Close)
	seen := errors.New("seen")
	if err := client.Follow(t.Context(), server.URL, "job", "", "secret", func(client.Event) error { return seen }); !errors.Is(err, seen) {
		t.Errorf("with the token: %v", err)
	}
	if err := client.Follow(t.Context(), server.URL, "job", "", "", func(client.Event) error { return seen }); !errors.Is(err, client.ErrRefused) {
		t.Errorf("without one: %v", err)
	}
}
