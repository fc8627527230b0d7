package layout_test

import (
	"testing"

	"github.com/letswriteabook/realtime/eventstore/internal/layout"
)

func TestEscape(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":           "",
		"plain-id_1": "plain-id_1",
		" a\r\nb ":   "%20a%0D%0Ab%20",
		"50%~é":      "50%25%7E%C3%A9",
		"\x00\x7f":   "%00%7F",
	} {
		if got := layout.Escape(text); got != want {
			t.Errorf("escape %q = %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"%", "%2", "%2e", "%2E", "%G0", "%41", " ", "a\n", "é", "~", "\xff"} {
		if got, err := layout.Unescape(text); err == nil {
			t.Errorf("unescape %q = %q", text, got)
		}
	}
}

// FuzzEscape: what is escaped is plain and comes back, and nothing has two forms.
func FuzzEscape(f *testing.F) {
	for _, seed := range []string{"", "id-1", " \r\n", "%25", "é~", "\x00\xff", "%2E"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		escaped := layout.Escape(text)
		for i := range len(escaped) {
			if escaped[i] <= ' ' || escaped[i] > '~' || escaped[i] == '~' {
				t.Fatalf("%q holds byte %#x", escaped, escaped[i])
			}
		}
		if back, err := layout.Unescape(escaped); err != nil || back != text {
			t.Fatalf("%q came back as %q, %v", text, back, err)
		}
		if plain, err := layout.Unescape(text); err == nil && layout.Escape(plain) != text {
			t.Fatalf("%q and %q are both %q", text, layout.Escape(plain), plain)
		}
	})
}

// FuzzMessageID: any stored header is read or refused.
func FuzzMessageID(f *testing.F) {
	for _, seed := range []string{"j-job.a", "i-a", "h-b~12", "r-run/e:7", "x-", "", "i-%20~1~2", "~"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		id, err := layout.MessageID(header)
		if err != nil {
			return
		}
		for _, prefix := range []string{"j-job.", "i-", "h-", "r-"} {
			if back, err := layout.MessageID(prefix + layout.Escape(id) + "~7"); err != nil || back != id {
				t.Fatalf("%q came back as %q, %v", id, back, err)
			}
		}
	})
}
