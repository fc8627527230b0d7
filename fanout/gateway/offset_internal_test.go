package gateway

import (
	"reflect"
	"strings"
	"testing"
)

func TestOffsetText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want offset
	}{
		{"e1:", offset{epoch: "e1"}},
		{"e1:abc=7", offset{epoch: "e1", marks: []mark{{key: "abc", sequence: 7}}}},
		{"e1:abc=7,d-_=18446744073709551615", offset{epoch: "e1", marks: []mark{{key: "abc", sequence: 7}, {key: "d-_", sequence: 18446744073709551615}}}},
		{"e1:abc=-,d=0", offset{epoch: "e1", marks: []mark{{key: "abc", pending: true}, {key: "d"}}}},
	}
	for _, test := range tests {
		got, err := parseOffset(test.text)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("parse %q: %+v, %v; want %+v", test.text, got, err, test.want)
		}
		if text := string(test.want.append(nil)); text != test.text {
			t.Errorf("append %+v: %q, want %q", test.want, text, test.text)
		}
	}
}

func TestOffsetRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "e1", ":abc=7", "e1:abc", "e1:=7", "e1:abc=", "e1:abc=-1", "e1:abc=07", "e1:abc=7,", "e1:=-", "e1:abc=18446744073709551616",
		"e1:" + strings.Repeat("a", maxOffsetBytes) + "=1",
	} {
		if got, err := parseOffset(text); err == nil {
			t.Errorf("%.40q is read as %+v", text, got)
		}
	}
}

func TestOffsetKeepsItsMarks(t *testing.T) {
	t.Parallel()
	var o offset
	o.set("e1", jobKey("a"), 5)
	o.set("e1", jobKey("b"), 6)
	further := o.with("e1", jobKey("a"), 9)
	if sequence, _ := o.of("a"); sequence != 5 {
		t.Errorf("with changed the offset it was called on: a is at %d", sequence)
	}
	if sequence, found := further.of("a"); !found || sequence != 9 {
		t.Errorf("a is at %d, %t", sequence, found)
	}
	o.drop(jobKey("b"))
	if _, found := o.of("b"); found {
		t.Error("b is still there")
	}
	o.set("e2", jobKey("c"), 1)
	if len(o.marks) != 1 || o.epoch != "e2" {
		t.Errorf("marks of an earlier epoch are kept: %+v", o)
	}
}

// FuzzParseOffset: what is read is written back as it was.
func FuzzParseOffset(f *testing.F) {
	for _, text := range []string{"", "e1:", "e1:abc=7,d=8", "e1:abc=07", ":", "e1:abc=7,,", "e1:a=1=2"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := parseOffset(text)
		if err != nil {
			return
		}
		if again := string(parsed.append(nil)); again != text {
			t.Errorf("%q became %q", text, again)
		}
	})
}
