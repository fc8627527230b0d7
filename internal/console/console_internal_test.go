package console

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// visit asks a console for a path.
func visit(t *testing.T, files fs.FS, path string) *httptest.ResponseRecorder {
	t.Helper()
	mux := http.NewServeMux()
	register(mux, files)
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return answer
}

func TestServesWhatTheBuildHas(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"index.html": {Data: []byte("<!doctype html>page")}, "assets/page-1a2b.js": {Data: []byte("export {}")},
		"licences.txt": {Data: []byte("MIT")}, ".gitkeep": {}, "secret": {Data: []byte("not served")},
	}
	for path, want := range map[string]struct {
		status       int
		media, cache string
	}{
		Prefix + "/":                       {http.StatusOK, "text/html", "no-cache"},
		Prefix + "/assets/page-1a2b.js":    {http.StatusOK, "text/javascript", "immutable"},
		Prefix + "/licences.txt":           {http.StatusOK, "text/plain", "no-cache"},
		Prefix + "/assets/none.js":         {status: http.StatusNotFound},
		Prefix + "/assets/":                {status: http.StatusNotFound},
		Prefix + "/assets/..%2fsecret":     {status: http.StatusNotFound},
		Prefix + "/assets/..%2findex.html": {status: http.StatusNotFound},
		Prefix + "/secret":                 {status: http.StatusNotFound},
		Prefix + "/.gitkeep":               {status: http.StatusNotFound},
	} {
		answer := visit(t, files, path)
		header := answer.Header()
		if answer.Code != want.status {
			t.Errorf("%s: %d", path, answer.Code)
		}
		if want.status != http.StatusOK {
			continue
		}
		if !strings.HasPrefix(header.Get("Content-Type"), want.media) || !strings.Contains(header.Get("Cache-Control"), want.cache) {
			t.Errorf("%s: %v", path, header)
		}
		if policy := header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: the policy is %q", path, policy)
		}
	}
}

// TestWithoutTheBuild checks that a binary of a clean clone says how to build the console.
func TestWithoutTheBuild(t *testing.T) {
	t.Parallel()
	answer := visit(t, fstest.MapFS{".gitkeep": {}}, Prefix+"/")
	if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "npm run build --prefix web") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

// TestTheBuiltPage checks the embedded build: its policy lets it work, for it has no inline
// script or style and loads only files that are there.
func TestTheBuiltPage(t *testing.T) {
	t.Parallel()
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		t.Fatal(err)
	}
	page, err := fs.ReadFile(files, "index.html")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("the console is not built: npm run build --prefix web")
		}
		t.Skip("SKIPPED: the console is not built: npm run build --prefix web")
	}
	if strings.Contains(string(page), "<style") || strings.Contains(string(page), " style=") || regexp.MustCompile(`<script[^>]*>[^<]`).Match(page) {
		t.Errorf("the page has inline code, which its policy refuses:\n%s", page)
	}
	loaded := regexp.MustCompile(`(?:src|href)="\./([^"]+)"`).FindAllSubmatch(page, -1)
	if len(loaded) < 2 {
		t.Errorf("the page loads %d files:\n%s", len(loaded), page)
	}
	for _, match := range loaded {
		if answer := visit(t, files, Prefix+"/"+string(match[1])); answer.Code != http.StatusOK {
			t.Errorf("%s: %d", match[1], answer.Code)
		}
	}
	if licences, err := fs.ReadFile(files, "licences.txt"); err != nil || !strings.Contains(string(licences), "react-dom") || !strings.Contains(string(licences), "uplot") {
		t.Errorf("the licences are %.200q, %v", licences, err)
	}
}
