package admin_test

import (
	"bytes"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/letswriteabook/realtime/internal/admin"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
)

var update = flag.Bool("update", false, "write the OpenAPI document that is in the repository")

// committed is where the repository has the OpenAPI document. The console's client is
// generated from it.
const committed = "../../docs/api/operators-openapi.json"

func TestTheDocumentInTheRepository(t *testing.T) {
	t.Parallel()
	answer := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, admin.Prefix+"/openapi.json", nil)
	request.Host = "127.0.0.1"
	serve(t, logkit.Open(t, logkit.Conn(t)), admin.Deps{}).ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	if *update {
		if err := os.WriteFile(committed, answer.Body.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(committed)
	if err != nil || !bytes.Equal(want, answer.Body.Bytes()) {
		t.Errorf("docs/api/operators-openapi.json is not what the API serves (%v): go test ./internal/admin -run TestTheDocumentInTheRepository -update", err)
	}
}
