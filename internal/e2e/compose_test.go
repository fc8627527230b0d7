package e2e_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/testkit"
)

// composeFile is what the tests read of deploy/compose/compose.yaml.
type composeFile struct {
	Services map[string]composeService          `json:"services"`
	Secrets  map[string]struct{ File string }   `json:"secrets"`
	Networks map[string]struct{ Internal bool } `json:"networks"`
	Volumes  map[string]map[string]any          `json:"volumes"`
}

type composeService struct {
	Image       string            `json:"image"`
	Command     []string          `json:"command"`
	Environment map[string]string `json:"environment"`
	Build       *struct{ Context, Dockerfile string }
	Healthcheck *struct{ Test []string }
	Ports       []struct {
		HostIP    string `json:"host_ip"`
		Published string `json:"published"`
	} `json:"ports"`
	Volumes []struct{ Type, Source, Target string } `json:"volumes"`
	Secrets []struct{ Source, Target string }       `json:"secrets"`
}

// secretFile returns the file that a service has at a path.
func (c composeFile) secretFile(service, target string) string {
	for _, secret := range c.Services[service].Secrets {
		if secret.Target == target {
			return c.Secrets[secret.Source].File
		}
	}
	return ""
}

// loadCompose copies deploy/ into a folder of the test, makes the secrets there, and has
// the library of Docker Compose load and check the file.
func loadCompose(t *testing.T) (file composeFile, dir string) {
	t.Helper()
	root := t.TempDir()
	loader := filepath.Join(root, "compose")
	if out, err := exec.Command("go", "build", "-modfile=../../tools/go.mod", "-o", loader, "github.com/compose-spec/compose-go/v2/cmd").CombinedOutput(); err != nil {
		t.Fatalf("build the library of Docker Compose: %v\n%s", err, out)
	}
	for _, part := range []string{"compose", "cluster", "prometheus", "grafana", "docker"} {
		if err := os.CopyFS(filepath.Join(root, "deploy", part), os.DirFS(filepath.Join("../../deploy", part))); err != nil {
			t.Fatal(err)
		}
	}
	dir = filepath.Join(root, "deploy/compose")
	if err := os.RemoveAll(filepath.Join(dir, "secrets")); err != nil { // of whoever tries it out
		t.Fatal(err)
	}
	testkit.Program(t, "openssl")
	if out, err := exec.Command("bash", filepath.Join(dir, "make-secrets")).CombinedOutput(); err != nil {
		t.Fatalf("make-secrets: %v\n%s", err, out)
	}
	check := exec.Command(loader, "-format", "json", "compose.yaml")
	check.Dir, check.Env = dir, []string{"PATH=" + os.Getenv("PATH")}
	var message strings.Builder
	check.Stderr = &message
	out, err := check.Output()
	if err != nil {
		t.Fatalf("compose.yaml: %v\n%s", err, message.String())
	}
	if err := json.Unmarshal(out, &file); err != nil {
		t.Fatal(err)
	}
	return file, dir
}

// TestCompose checks deploy/compose without an engine: the library of Docker Compose takes
// the file, what it mounts is there, a gateway takes its settings, and redis-server, the
// NATS server, nginx and promtool take theirs.
func TestCompose(t *testing.T) {
	t.Parallel()
	file, dir := loadCompose(t)
	t.Run("services", func(t *testing.T) { t.Parallel(); checkComposeServices(t, file) })
	t.Run("build context", func(t *testing.T) {
		t.Parallel()
		ignored, err := os.ReadFile("../../.dockerignore")
		if err != nil || !slices.Contains(strings.Split(string(ignored), "\n"), "deploy/compose/secrets") {
			t.Errorf("the secrets are in the build context, and so in its cache: %v", err)
		}
	})
	t.Run("settings", func(t *testing.T) { t.Parallel(); checkComposeSettings(t, file) })
	t.Run("nats", func(t *testing.T) { t.Parallel(); checkComposeNATS(t, file, dir) })
	t.Run("redis", func(t *testing.T) { t.Parallel(); checkComposeRedis(t, file, dir) })
	t.Run("nginx", func(t *testing.T) { t.Parallel(); checkComposeNginx(t, dir) })
	t.Run("prometheus", func(t *testing.T) {
		t.Parallel()
		promtool := testkit.Program(t, "promtool")
		alerts, err := os.ReadFile("../../deploy/prometheus/alerts.yml")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "alerts.yml"), alerts, 0o600); err != nil { // where the container has it
			t.Fatal(err)
		}
		if out, err := exec.Command(promtool, "check", "config", filepath.Join(dir, "prometheus.yml")).CombinedOutput(); err != nil {
			t.Errorf("prometheus.yml: %v\n%s", err, out)
		}
	})
}

// pinned is an image with a version of at least two numbers.
var pinned = regexp.MustCompile(`^[a-z/-]+:v?[0-9]+(\.[0-9]+)+[a-z0-9.-]*$`)

func checkComposeServices(t *testing.T, file composeFile) {
	want := []string{"gateway-1", "gateway-2", "grafana", "mongo", "nats-1", "nats-2", "nats-3", "nginx", "prometheus", "redis"}
	if got := slices.Sorted(maps.Keys(file.Services)); !slices.Equal(got, want) {
		t.Errorf("the services are %q, want %q", got, want)
	}
	for name, service := range file.Services {
		if service.Build == nil && !pinned.MatchString(service.Image) {
			t.Errorf("%s: the image %s has no version", name, service.Image)
		}
		if service.Build != nil {
			if _, err := os.Stat(filepath.Join(service.Build.Context, service.Build.Dockerfile)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if service.Healthcheck == nil {
			t.Errorf("%s has no health check", name)
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is on %q", name, port.Published, port.HostIP)
			}
		}
		for _, volume := range service.Volumes {
			if volume.Type == "bind" {
				if _, err := os.Stat(volume.Source); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		for _, secret := range service.Secrets {
			if info, err := os.Stat(file.Secrets[secret.Source].File); err != nil || info.Size() == 0 {
				t.Errorf("%s: secret %s: %v", name, secret.Source, err)
			}
		}
		for variable, value := range service.Environment {
			if strings.HasPrefix(value, "/run/secrets/") && file.secretFile(name, value) == "" {
				t.Errorf("%s: %s is %s, which is no secret of the service", name, variable, value)
			}
		}
	}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("no build information")
	}
	for _, module := range build.Deps {
		if module.Path == "github.com/nats-io/nats-server/v2" {
			if want := "nats:" + strings.TrimPrefix(module.Version, "v") + "-alpine"; file.Services["nats-1"].Image != want {
				t.Errorf("NATS is %s, and the tests run %s", file.Services["nats-1"].Image, want)
			}
		}
	}
}

// checkComposeSettings loads the settings of a gateway as serve does.
func checkComposeSettings(t *testing.T, file composeFile) {
	known := make(map[string]bool)
	for _, setting := range (config.Config{}).Settings() {
		known[setting.Name] = true
	}
	for _, gateway := range []string{"gateway-1", "gateway-2"} {
		environ := maps.Clone(file.Services[gateway].Environment)
		for name, value := range environ {
			if !known[name] {
				t.Errorf("%s: there is no setting %s", gateway, name)
			}
			if strings.HasPrefix(value, "/run/secrets/") {
				environ[name] = file.secretFile(gateway, value)
			}
		}
		cfg, err := config.Load(environ)
		if err != nil {
			t.Errorf("%s: %v", gateway, err)
		}
		for _, warning := range cfg.Warnings() {
			t.Errorf("%s: %s", gateway, warning)
		}
	}
}

// checkComposeNATS has the server read its configuration, in a folder as the container has it.
func checkComposeNATS(t *testing.T, file composeFile, dir string) {
	folder := t.TempDir()
	service := file.Services["nats-1"]
	put := func(source, target string) {
		if name, below := strings.CutPrefix(target, "/etc/nats/"); below {
			text, err := os.ReadFile(source)
			if err != nil {
				t.Fatal(err)
			}
			for variable, value := range service.Environment { // the server would read the environment of this process
				text = []byte(strings.ReplaceAll(string(text), "$"+variable+"\n", value+"\n"))
			}
			if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, volume := range service.Volumes {
		put(volume.Source, volume.Target)
	}
	for _, secret := range service.Secrets {
		put(file.Secrets[secret.Source].File, secret.Target)
	}
	options, err := natsserver.ProcessConfigFile(filepath.Join(folder, "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	password, err := os.ReadFile(filepath.Join(dir, "secrets/nats-password"))
	if err != nil {
		t.Fatal(err)
	}
	if len(options.Users) != 1 || options.Users[0].Username != file.Services["gateway-1"].Environment["NATS_USER"] || options.Users[0].Password != string(password) {
		t.Error("the user is not that of the gateways")
	}
	if len(options.Routes) != 3 || !options.JetStream || options.ServerName != "nats-1" || options.SyncInterval.String() != "10s" {
		t.Errorf("%d routes, JetStream %t, name %q, sync %s", len(options.Routes), options.JetStream, options.ServerName, options.SyncInterval)
	}
}

// checkComposeRedis runs redis-server with the command of its service.
func checkComposeRedis(t *testing.T, file composeFile, dir string) {
	command := file.Services["redis"].Command
	for i, argument := range command {
		if secret := file.secretFile("redis", argument); secret != "" {
			command[i] = secret
		}
	}
	server := testkit.StartRedis(t, command[1:]...)
	for name, service := range map[string]string{"redis-url": "redis:6379", "redis-worker-url": "localhost:6379"} {
		address, err := os.ReadFile(filepath.Join(dir, "secrets", name))
		if err != nil {
			t.Fatal(err)
		}
		options, err := redis.ParseURL(substituted(t, string(address), service, server.Addr))
		if err != nil {
			t.Fatal(err)
		}
		client := redis.NewClient(options)
		if err := client.Publish(t.Context(), "novel.realtime.events", "{}").Err(); err != nil {
			t.Errorf("%s: publish: %v", name, err)
		}
		if err := client.Publish(t.Context(), "other", "{}").Err(); err == nil {
			t.Errorf("%s: another channel is taken", name)
		}
		if err := client.FlushAll(t.Context()).Err(); err == nil {
			t.Errorf("%s: FLUSHALL is taken", name)
		}
		_ = client.Close()
	}
	stranger := redis.NewClient(&redis.Options{Addr: server.Addr, DisableIdentity: true, Protocol: 2})
	defer stranger.Close()
	if err := stranger.Ping(t.Context()).Err(); err != nil {
		t.Errorf("the health check: %v", err)
	}
	if err := stranger.Publish(t.Context(), "novel.realtime.events", "{}").Err(); err == nil {
		t.Error("a stranger publishes")
	}
}

// checkComposeNginx runs nginx with the file of its service in front of two gateways: a
// session over polling stays with one, and pages come from either.
func checkComposeNginx(t *testing.T, dir string) {
	program := testkit.Program(t, "nginx")
	first, second := startGateway(t, settings{"SOCKET_CLIENT_ORIGIN": "*"}), startGateway(t, settings{"SOCKET_CLIENT_ORIGIN": "*"})
	text, err := os.ReadFile(filepath.Join(dir, "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	address, folder := freeAddress(t), t.TempDir()
	site := substituted(t, string(text), "gateway-1:3001", first.address(), "gateway-2:3001", second.address(), "listen 8080;", "listen "+address+";")
	path := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(path, []byte(nginxAround(folder, site)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program, "-t", "-e", "stderr", "-p", folder, "-c", path).CombinedOutput(); err != nil {
		t.Fatalf("nginx -t: %v\n%s", err, out)
	}
	runProxy(t, exec.Command(program, "-p", folder, "-e", "stderr", "-c", path), address)
	for range 4 {
		if err := get("http://" + address + "/health/ready"); err != nil {
			t.Error(err)
		}
	}
	polling := "http://" + address + "/ws/?EIO=4&transport=polling"
	response, err := http.Get(polling)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	opening, err := io.ReadAll(response.Body)
	var handshake struct{ SID string }
	if err != nil || len(opening) == 0 || opening[0] != '0' || json.Unmarshal(opening[1:], &handshake) != nil {
		t.Fatalf("a session begins with %q, %v", opening, err)
	}
	for _, packet := range []string{"40", "3", "3", "3"} { // only the gateway that has the session takes them
		response, err := http.Post(polling+"&sid="+handshake.SID, "text/plain", strings.NewReader(packet))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Fatalf("the session gets %s", response.Status)
		}
	}
}
