package buildinfo

import (
	"cmp"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/messaging"
)

// version is set by the linker in a release build.
var version string

// Info describes a build.
type Info struct {
	// Version is the release, such as v1.2.3, or "devel" outside a release build.
	Version string `json:"version"`
	// Commit is the revision that was built, with "-dirty" after it if the work tree had
	// changes; empty if the build had no version control information.
	Commit string `json:"commit,omitempty"`
	// Time is the time of the commit in RFC 3339; empty if Commit is.
	Time     string `json:"time,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	// Contract is the version of the wire contract, see package messaging.
	Contract int `json:"contract"`
}

// Read returns the description of the running program.
func Read() Info {
	info := Info{
		Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Contract: messaging.Version,
	}
	built, ok := debug.ReadBuildInfo()
	if ok {
		info.read(built)
	}
	info.Version = cmp.Or(info.Version, "devel")
	return info
}

func (i *Info) read(built *debug.BuildInfo) {
	if i.Version == "" && built.Main.Version != "(devel)" {
		i.Version = built.Main.Version
	}
	modified := false
	for _, setting := range built.Settings {
		switch setting.Key {
		case "vcs.revision":
			i.Commit = setting.Value
		case "vcs.time":
			i.Time = setting.Value
		case "vcs.modified":
			modified = setting.Value == "true"
		}
	}
	if i.Commit != "" && modified {
		i.Commit += "-dirty"
	}
}

// Metric returns the gauge realtime_build_info, which is always 1 and has the build as
// its labels.
func (i Info) Metric() prometheus.Collector {
	gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "realtime_build_info",
		Help: "Always 1. The labels describe the running build.",
	}, []string{"version", "commit", "go"})
	gauge.WithLabelValues(i.Version, i.Commit, i.Go).Set(1)
	return gauge
}
