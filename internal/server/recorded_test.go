package server_test

import "testing"

// TestRecorderForgetsErasedJobs: once a job is erased, no process has its stages, neither a
// gateway nor a process without the role fanout.
func TestRecorderForgetsErasedJobs(t *testing.T) {
	t.Parallel()
	for name, roles := range map[string]string{"a gateway": "", "without fanout": "ingest"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			more := map[string]string{}
			if roles != "" {
				more["ROLES"] = roles
			}
			o := startOperating(t, more)
			stages := func(job string) int {
				var list struct{ Items []struct{ JobID string } }
				o.read("/job/stages?jobId="+job, &list)
				return len(list.Items)
			}
			if recorded := stages("b"); recorded < 6 {
				t.Fatalf("%d stages of three events", recorded)
			}
			o.begin("/erasures", `{"jobId":"b","reason":"a request"}`)
			o.until("the job is forgotten", func() error {
				if recorded := stages("b"); recorded > 0 {
					return errorOf(0, recorded)
				}
				return nil
			})
			if recorded := stages("a/1"); recorded < 6 {
				t.Errorf("%d stages of another job", recorded)
			}
		})
	}
}
