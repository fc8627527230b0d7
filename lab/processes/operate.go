package processes

import (
	"context"
	"maps"
	"os/exec"
	"path/filepath"
)

// Folder returns where a NATS server of the lab, or a gateway that keeps its own log,
// has the files of the log.
func (l *Lab) Folder(p *Process) string { return filepath.Join(l.cfg.Dir, p.name) }

// Operate returns a command of operators, on the lab's servers, that is yet to be
// started. The variables in env come above the lab's own; an empty value takes one of
// those away. It is killed when ctx ends, and with this process.
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
