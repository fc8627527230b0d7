package architecture_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestTheServerLinksNoTestEquipment lists what cmd/realtime is built of: nothing that
// loads or hurts systems, and no server of the development stack.
func TestTheServerLinksNoTestEquipment(t *testing.T) {
	t.Parallel()
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/realtime")
	command.Dir = "../.."
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	linked := strings.Fields(string(output))
	if len(linked) < 100 {
		t.Fatalf("only %d packages: %q", len(linked), linked)
	}
	for _, name := range linked {
		for _, forbidden := range []string{module + "/lab", miniredis, ferretDB, module + "/internal/devstack", module + "/internal/testkit"} {
			if strings.HasPrefix(name, forbidden) {
				t.Errorf("cmd/realtime links %s", name)
			}
		}
	}
}
