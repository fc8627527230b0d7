package buildinfo

import (
	"runtime/debug"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestRead(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		linked        string
		built         debug.BuildInfo
		version, what string
	}{
		{"a release", "v1.2.3", debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "v1.2.3", ""},
		{"go install of a tag", "", debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "v1.2.3", ""},
		{"go run", "", debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "", ""},
		{"a clean work tree", "", debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "false"}}}, "", "abc"},
		{"a changed work tree", "", debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.modified", Value: "true"}, {Key: "vcs.revision", Value: "abc"}}}, "", "abc-dirty"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			info := Info{Version: test.linked}
			info.read(&test.built)
			if info.Version != test.version || info.Commit != test.what {
				t.Errorf("version %q commit %q, want %q and %q", info.Version, info.Commit, test.version, test.what)
			}
		})
	}
}

func TestMetric(t *testing.T) {
	t.Parallel()
	metric := Info{Version: "v1.2.3", Commit: "abc", Go: "go1.26"}.Metric()
	want := `# HELP realtime_build_info Always 1. The labels describe the running build.
# TYPE realtime_build_info gauge
realtime_build_info{commit="abc",go="go1.26",version="v1.2.3"} 1
`
	if err := testutil.CollectAndCompare(metric, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	if info := Read(); info.Version == "" || info.Go == "" || info.Contract == 0 || !strings.Contains(info.Platform, "/") {
		t.Errorf("incomplete: %+v", info)
	}
}
