package processes

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrNoBoot is matched if a process cannot be given another boot id here.
var ErrNoBoot = errors.New("no process can be given another boot id here")

// bootScript runs a program in a mount namespace in which another file is in the place of
// the kernel's boot id. It has no child: signals to its process reach the program.
const bootScript = `#!/bin/sh
exec %s --mount /bin/sh -c '%s --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"' %s %s "$@"
`

// NextBoot gives a process another boot id, from its next start on, as if the machine had
// been started again. It needs root.
func (l *Lab) NextBoot(p *Process) error {
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoBoot, err)
	}
	mount, err := exec.LookPath("mount")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoBoot, err)
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	file, script := filepath.Join(l.cfg.Dir, p.name+".boot"), filepath.Join(l.cfg.Dir, p.name+".sh")
	if err := os.WriteFile(file, []byte(hex.EncodeToString(id[:])+"\n"), 0o644); err != nil {
		return fmt.Errorf("boot id of %s: %w", p.name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unbooted == "" {
		p.unbooted = p.path
	}
	text := fmt.Sprintf(bootScript, unshare, mount, file, p.unbooted)
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		return fmt.Errorf("boot id of %s: %w", p.name, err)
	}
	p.path = script
	return nil
}
