package natsserver_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/natsserver"
)

// TestFolderOfALaterVersion: it is refused with a sentence, and left as it is; one without
// a number gets one, also where a power loss has left the file without its content.
func TestFolderOfALaterVersion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, natsserver.FormatFile)
	start := func() error {
		server, err := natsserver.Start(natsserver.Config{StoreDir: dir, SyncAlways: true})
		if err != nil {
			return err
		}
		return server.Close(t.Context())
	}
	for _, left := range []string{"no file", "", "\n", "\x00\x00"} {
		if left != "no file" {
			if err := os.WriteFile(file, []byte(left), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := start(); err != nil {
			t.Errorf("with %q: %v", left, err)
		}
		if text, err := os.ReadFile(file); err != nil || string(text) != "1\n" {
			t.Errorf("with %q the format becomes %q, %v", left, text, err)
		}
	}
	for text, says := range map[string]string{"2\n": "its format is 2, and this version opens up to 1", "later\n": "has no number"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := start()
		if err == nil || !strings.Contains(err.Error(), says) || errors.Is(err, natsserver.ErrNewerFormat) != (text == "2\n") {
			t.Errorf("%q: %v", text, err)
		}
		if left, _ := os.ReadFile(file); string(left) != text {
			t.Errorf("the file is %q, was %q", left, text)
		}
	}
}
