package oracle_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/letswriteabook/realtime/lab/oracle"
)

// Whatever stands in the files, the judge reads them or says what is wrong, and
// says the same a second time.
func FuzzJudge(f *testing.F) {
	f.Add("{\"id\":\"a\",\"job\":\"j\"}\n", "{\"id\":\"a\",\"job\":\"j\",\"sequence\":1}\n", "{\"job\":\"j\",\"follows\":true}\n{\"id\":\"a\",\"job\":\"j\",\"sequence\":1}\n")
	f.Add("{\"id\":\"a\",\"job\":\"j\"}\n", "{\"id\":\"a\"", "{\"job\":\"j\",\"sequence\":18446744073709551615,\"resumed\":true,\"client\":\"c\"}\n")
	f.Add("", "null\n", "\n\n")
	f.Fuzz(func(t *testing.T, attempted, stored, delivered string) {
		dir := t.TempDir()
		for name, text := range map[string]string{"A": attempted, "K": stored, "S": stored, "M": stored, "C-1": delivered} {
			if err := os.WriteFile(filepath.Join(dir, name+".ndjson"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		first, err := oracle.Judge(dir)
		if err != nil && !errors.Is(err, oracle.ErrMalformed) {
			t.Fatalf("an error without its kind: %v", err)
		}
		second, _ := oracle.Judge(dir)
		if first.String() != second.String() || first.Good() != (first.String() == "0 lost, 0 duplicated, 0 reordered, 0 phantom") {
			t.Fatalf("first %+v, then %+v", first, second)
		}
	})
}
