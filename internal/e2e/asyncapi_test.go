package e2e_test

import (
	"os/exec"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// TestAsyncAPI checks docs/contracts/asyncapi.yaml, and the schemas that it refers to, with
// the parser of the AsyncAPI initiative. What the document says is checked beside the
// schemas, in the package messaging.
func TestAsyncAPI(t *testing.T) {
	t.Parallel()
	requireNodePackages(t)
	out, err := exec.Command(testkit.Program(t, "node"), "client/asyncapi.mjs", "../../docs/contracts/asyncapi.yaml").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
