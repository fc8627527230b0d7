package processes

import (
	"context"
	"maps"
	"os/exec"
	"path/filepath"
)

// Folder returns the folder of the log of a NATS server of the lab, or of a gateway that
// keeps its own log.
func (l *Lab) Folder(p *Process) string { return filepath.Join(l.cfg.Dir, p.name) }

// Operate returns an operators' command on the lab's servers, not started yet. The
// variables in env override the lab's own; an empty value removes a variable. The command
// is killed when ctx ends, and with this process.
func (l *Lab) Operate(ctx context.Context, env map[string]string, args ...string) *exec.Cmd {
	all := map[string]string{"NATS_URL": l.NATSURL(), "REDIS_URL": l.RedisURL(), "TMPDIR": l.cfg.Dir, "LOG_LEVEL": "error"}
	if l.cfg.Mongo {
		all["MONGODB_URI"] = l.MongoURI()
	}
	maps.Copy(all, env)
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	command := exec.CommandContext(ctx, l.cfg.Programs.Realtime, args...)
	command.Env, command.SysProcAttr = environment(all), attributes()
	return command
}
