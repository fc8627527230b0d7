package admin_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/internal/admin"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
)

// auditPage is a page of the audit trail whose notes have a text.
type auditPage struct {
	Items []struct {
		Number uint64
		Note   struct{ Text string }
	}
	Next, Before uint64
}

// TestAuditIsReadToItsEnd: the pages lead to the newest note, whatever the notes' sizes, and
// the newest notes can be read first, back to the oldest. Notes of other kinds stand
// between them.
func TestAuditIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	const notes = 24
	log := logkit.Open(t, logkit.Conn(t))
	trail := audit.Beside(log.Client())
	large := strings.Repeat("x", 400<<10)
	var want []string
	for n := range notes {
		name := fmt.Sprint(n, " ")
		text := name
		if n%2 == 1 {
			text += large
		}
		want = append(want, name)
		if _, err := trail.Add(t.Context(), "novel.audit.admin", map[string]string{"text": text}); err != nil {
			t.Fatal(err)
		}
		if _, err := trail.Add(t.Context(), "novel.audit.settings", map[string]string{"text": "of another kind"}); err != nil {
			t.Fatal(err)
		}
	}
	mux := serve(t, log, admin.Deps{})
	names := func(page auditPage) (found []string) {
		for _, item := range page.Items {
			name, _, _ := strings.Cut(item.Note.Text, "x")
			found = append(found, name)
		}
		return found
	}
	for _, limit := range []int{1, 5, 500} {
		var found []string
		for after, pages := uint64(0), 0; pages <= notes; pages++ {
			var page auditPage
			get(t, mux, fmt.Sprintf("/audit?after=%d&limit=%d", after, limit), &page)
			found = append(found, names(page)...)
			if after = page.Next; after == 0 {
				break
			}
		}
		if !slices.Equal(found, want) {
			t.Errorf("forwards, by %d: %q", limit, found)
		}
		found = nil
		for before, pages := uint64(0), 0; pages <= notes; pages++ {
			var page auditPage
			get(t, mux, fmt.Sprintf("/audit?before=%d&limit=%d", before, limit), &page)
			if pages == 0 && (len(page.Items) == 0 || names(page)[len(page.Items)-1] != want[notes-1]) {
				t.Errorf("the newest notes, by %d: %q", limit, names(page))
			}
			found = append(names(page), found...)
			if before = page.Before; before == 0 {
				break
			}
		}
		if !slices.Equal(found, want) {
			t.Errorf("backwards, by %d: %q", limit, found)
		}
	}
}
