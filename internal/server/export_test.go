package server

import "github.com/prometheus/client_golang/prometheus"

// Registry returns what the metrics of an application are registered in.
func (a *App) Registry() *prometheus.Registry { return a.registry }
