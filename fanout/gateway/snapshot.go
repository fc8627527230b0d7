package gateway

import (
	"net/http"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/messaging"
)

// Snapshot is the state of a gateway, as GET /internal/realtime/metrics shows
// it. All counts but ClusterConnections are of this gateway alone.
type Snapshot struct {
	TotalConnections     int            `json:"totalConnections"`
	TotalSubscriptions   int            `json:"totalSubscriptions"`
	ConnectionsPerOrigin map[string]int `json:"connectionsPerOrigin"`
	SubscribersPerJob    map[string]int `json:"subscribersPerJob"`
	// IdleClients counts the sockets with an idle deadline running.
	IdleClients               int                          `json:"idleClients"`
	MaxConnections            int                          `json:"maxConnections"`
	MaxConnectionsPerOrigin   int                          `json:"maxConnectionsPerOrigin"`
	MaxSubscriptionsPerClient int                          `json:"maxSubscriptionsPerClient"`
	IdleTimeoutMs             int64                        `json:"idleTimeoutMs"`
	LastCatchUp               map[string]hub.CatchUpReport `json:"lastCatchUp"`
	// ClusterConnections counts the connections of all gateways, as far as known here;
	// without limits on the cluster, only this gateway's.
	ClusterConnections             int `json:"clusterConnections"`
	MaxClusterConnections          int `json:"maxClusterConnections"`
	MaxClusterConnectionsPerOrigin int `json:"maxClusterConnectionsPerOrigin"`
}

// Snapshot returns the gateway's state. The parts are read one after the other, so they may
// be of slightly different times.
func (g *Gateway) Snapshot() Snapshot {
	limits := *g.limits.Load()
	s := Snapshot{
		MaxConnections:            limits.MaxConnections,
		MaxConnectionsPerOrigin:   limits.MaxConnectionsPerOrigin,
		MaxSubscriptionsPerClient: limits.MaxSubscriptionsPerClient,
		IdleTimeoutMs:             limits.IdleTimeout.Milliseconds(),
		LastCatchUp:               g.hub.RecentCatchUps(),
		IdleClients:               int(g.idleWatched.Load()),

		ClusterConnections:             g.admission.Everywhere(),
		MaxClusterConnections:          limits.MaxClusterConnections,
		MaxClusterConnectionsPerOrigin: limits.MaxClusterConnectionsPerOrigin,
	}
	s.TotalConnections, s.ConnectionsPerOrigin = g.admission.Counts()
	s.TotalSubscriptions, s.SubscribersPerJob = g.hub.Subscribers()
	return s
}

// Share returns how many connections this gateway holds, for the other gateways.
func (g *Gateway) Share() messaging.Share {
	total, perOrigin := g.admission.Counts()
	return messaging.Share{Total: total, PerOrigin: perOrigin}
}

// Others sets how many connections the other gateways hold together.
func (g *Gateway) Others(share messaging.Share) { g.admission.Others(share) }

// ServeSnapshot answers GET /internal/realtime/metrics.
func (g *Gateway) ServeSnapshot(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, g.Snapshot())
}
