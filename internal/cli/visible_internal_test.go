package cli

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestVisible(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, want string }{
		{"plain", "novel-7\t✓ Käse\n", "novel-7\t✓ Käse\n"},
		{"an escape sequence", "\x1b[2Jgone\r", `\u001b[2Jgone\u000d`},
		{"control characters of Latin-1", "\u009b31m \u0085 \x7f", `\u009b31m \u0085 \u007f`},
		{"no UTF-8", "a\x9bb", `a\x9bb`},
		{"turned text", "\u202egpj.exe\u202c", `\u202egpj.exe\u202c`},
		{"JSON", `{"a":"` + "\u009b" + `"}`, `{"a":"\u009b"}`},
	} {
		for size := 1; size <= len(test.text); size++ { // in pieces of every size
			var out bytes.Buffer
			v := &Visible{to: &out}
			for rest := []byte(test.text); len(rest) > 0; {
				piece := rest[:min(size, len(rest))]
				if n, err := v.Write(piece); n != len(piece) || err != nil {
					t.Fatalf("wrote %d, %v", n, err)
				}
				rest = rest[len(piece):]
			}
			v.End()
			if out.String() != test.want {
				t.Fatalf("%s, in pieces of %d: %q, want %q", test.name, size, out.String(), test.want)
			}
		}
	}
	var read struct{ A string }
	if err := json.Unmarshal([]byte(escape([]byte(`{"a":"`+"\u009b"+`"}`))), &read); err != nil || read.A != "\u009b" {
		t.Errorf("the escaped JSON reads as %q, %v", read.A, err)
	}
}

// Whatever goes in, nothing comes out that a terminal acts on.
func FuzzVisible(f *testing.F) {
	f.Add([]byte("\x1b]0;title\x07"), 3)
	f.Add([]byte("\xc2\x9b\xe2\x80\xae\xf0\x9f\x98\x80\xff"), 1)
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		var out bytes.Buffer
		v := &Visible{to: &out}
		at := max(0, min(cut, len(text)))
		_, _ = v.Write(text[:at])
		_, _ = v.Write(text[at:])
		v.End()
		for _, char := range out.String() {
			if acts(char) || char == 0xfffd && !bytes.Contains(text, []byte("\ufffd")) {
				t.Fatalf("%q became %q", text, out.String())
			}
		}
	})
}
