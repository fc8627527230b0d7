package devpage_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/devpage"
)

func get(t *testing.T, handler http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return answer
}

// buildOutput is a folder as the build of the job page leaves it.
func buildOutput(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"index.html": "<!doctype html>", "assets/page-1a2b.js": "export {}", "secret": "not the page's"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTheBuiltPage(t *testing.T) {
	t.Parallel()
	handler, err := devpage.Built(buildOutput(t), []devpage.Job{{ID: "job-1", Title: "One"}})
	if err != nil {
		t.Fatal(err)
	}
	page := get(t, handler, "/")
	if page.Code != http.StatusOK || !strings.Contains(page.Body.String(), "doctype") {
		t.Errorf("the page answers %d, %q", page.Code, page.Body)
	}
	if policy := page.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("the page's policy is %q", policy)
	}
	script := get(t, handler, "/assets/page-1a2b.js")
	if script.Code != http.StatusOK || !strings.HasPrefix(script.Header().Get("Content-Type"), "text/javascript") {
		t.Errorf("a script answers %d, %s", script.Code, script.Header().Get("Content-Type"))
	}
	var config struct {
		Gateway string
		Jobs    []devpage.Job
		Help    string
	}
	if err := json.Unmarshal(get(t, handler, "/config.json").Body.Bytes(), &config); err != nil {
		t.Fatal(err)
	}
	if config.Gateway != "" || len(config.Jobs) != 1 || config.Jobs[0].ID != "job-1" || config.Help != devpage.HelpPath {
		t.Errorf("the config is %+v", config)
	}
	for _, path := range []string{"/secret", "/assets/", "/assets/none.js", "/assets/..%2fsecret"} {
		if answer := get(t, handler, path); answer.Code == http.StatusOK {
			t.Errorf("%s answers %d, %q", path, answer.Code, answer.Body)
		}
	}
}

func TestAPageThatIsNotBuilt(t *testing.T) {
	t.Parallel()
	if _, err := devpage.Built(t.TempDir(), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
}

// What people type ends up in the page as text.
func TestThePageQuotesWhatItIsTold(t *testing.T) {
	t.Parallel()
	handler, err := devpage.Handler(devpage.Info{Job: `"><script>alert(1)</script>`, Origin: "</script>"})
	if err != nil {
		t.Fatal(err)
	}
	page := get(t, handler, devpage.HelpPath).Body.String()
	if strings.Contains(page, "<script>alert") || strings.Count(page, "</script>") != 1 {
		t.Error("the page has markup that it was told")
	}
}

// The page without a build step runs its own script and nothing else, also of what
// people type.
func TestThePlainPageHasAPolicy(t *testing.T) {
	t.Parallel()
	handler, err := devpage.Handler(devpage.Info{Job: "job-1", Origin: "http://localhost:5173"})
	if err != nil {
		t.Fatal(err)
	}
	page := get(t, handler, devpage.HelpPath)
	policy := page.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("the page's policy is %q", policy)
	}
	for _, element := range []string{"script", "style"} {
		if strings.Count(page.Body.String(), "<"+element) != 1 {
			t.Errorf("the page has more than one %s", element)
		}
		_, rest, _ := strings.Cut(page.Body.String(), "<"+element+">")
		content, _, _ := strings.Cut(rest, "</"+element+">")
		sum := sha256.Sum256([]byte(content))
		if hash := base64.StdEncoding.EncodeToString(sum[:]); !strings.Contains(policy, element+"-src 'sha256-"+hash+"'") {
			t.Errorf("the policy does not allow the page's %s", element)
		}
	}
	if strings.Contains(page.Body.String(), " style=") || strings.Contains(page.Body.String(), " onclick=") {
		t.Error("the page has attributes that its policy forbids")
	}
}

// The sample resumes from a whole position, also when an answer names no epoch yet.
func TestTheSampleKeepsWholePositions(t *testing.T) {
	t.Parallel()
	handler, err := devpage.Handler(devpage.Info{Job: "job-1"})
	if err != nil {
		t.Fatal(err)
	}
	page := get(t, handler, devpage.HelpPath).Body.String()
	for _, line := range []string{
		`if (epoch && event.sequence) since = epoch + ":" + event.sequence;`,
		`since = position ?? since;`,
	} {
		if !strings.Contains(page, line) {
			t.Errorf("the sample lacks %s", line)
		}
	}
}
