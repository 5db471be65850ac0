// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/enarx/enarx-go/agent/api"
)

// metrics are the agent's own; every name begins with enarx_, and nothing that
// a caller chooses becomes a label.
type metrics struct {
	registry     *prometheus.Registry
	created      *prometheus.CounterVec
	ended        *prometheus.CounterVec
	refused      *prometheus.CounterVec
	startSeconds *prometheus.HistogramVec
	requests     *prometheus.CounterVec
	seconds      *prometheus.HistogramVec
	tunnelBytes  *prometheus.CounterVec
	eventsLost   prometheus.Counter
	orphans      *prometheus.CounterVec
}

func newMetrics(a *Agent) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		created:  counter("enarx_keeps_started_total", "Keeps that were started.", "platform"),
		ended:    counter("enarx_keeps_ended_total", "Keeps that have ended, by cause.", "platform", "by"),
		refused:  counter("enarx_creates_refused_total", "Creates that gave no Keep, by problem code.", "code"),
		startSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "enarx_keep_start_seconds",
			Help: "Time from a create to a Keep that has its start configuration.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 14)}, []string{"platform"}),
		requests: counter("enarx_requests_total", "Requests by route and status.", "route", "status"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "enarx_request_seconds",
			Help: "Time to answer, tunnels and event streams left out.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16)}, []string{"route"}),
		tunnelBytes: counter("enarx_tunnel_bytes_total", "Bytes through tunnels; in is towards Keeps.", "direction"),
		eventsLost:  prometheus.NewCounter(prometheus.CounterOpts{Name: "enarx_events_lost_total", Help: "Events that a reader was told it had missed."}),
		orphans:     counter("enarx_orphans_total", "Keeps of a former life found at start; left is those that could not be removed.", "result"),
	}
	m.registry.MustRegister(m.created, m.ended, m.refused, m.startSeconds, m.requests, m.seconds, m.tunnelBytes, m.eventsLost, m.orphans)
	m.registry.MustRegister(&gauges{a})
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// gauges reads the agent's present state when it is asked.
type gauges struct{ a *Agent }

var (
	descKeeps       = prometheus.NewDesc("enarx_keeps", "Keeps by platform and state, ended ones that are remembered included.", []string{"platform", "state"}, nil)
	descMemory      = prometheus.NewDesc("enarx_memory_reserved_bytes", "Memory classes of living Keeps added up.", nil, nil)
	descMemoryLimit = prometheus.NewDesc("enarx_memory_limit_bytes", "The most that memory classes may add up to.", nil, nil)
	descKeepsLimit  = prometheus.NewDesc("enarx_keeps_limit", "The most Keeps that may live at a time.", nil, nil)
	descTunnels     = prometheus.NewDesc("enarx_tunnels", "Open tunnels.", nil, nil)
	descRelayConns  = prometheus.NewDesc("enarx_relay_connections", "TCP connections that Keeps have through the agent.", nil, nil)
	descSpool       = prometheus.NewDesc("enarx_spool_bytes", "Sealed records on disk.", nil, nil)
	descDraining    = prometheus.NewDesc("enarx_draining", "1 when the agent takes no more Keeps.", nil, nil)
)

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descKeeps, descMemory, descMemoryLimit, descKeepsLimit, descTunnels, descRelayConns, descSpool, descDraining} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	type key struct {
		platform string
		state    api.State
	}
	n := map[key]int{}
	g.a.mu.Lock()
	for _, k := range g.a.keeps {
		n[key{k.platform, k.entry().State}]++
	}
	memory, spool, draining := g.a.memory, g.a.spoolBytes, g.a.draining
	g.a.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for k, v := range n {
		gauge(descKeeps, float64(v), k.platform, string(k.state))
	}
	gauge(descMemory, float64(memory))
	gauge(descMemoryLimit, float64(g.a.cfg.Limits.Memory))
	gauge(descKeepsLimit, float64(g.a.cfg.Limits.Keeps))
	gauge(descTunnels, float64(g.a.tunnels.Used()))
	gauge(descRelayConns, float64(g.a.relayConns.Used()))
	gauge(descSpool, float64(spool))
	d := 0.0
	if draining {
		d = 1
	}
	gauge(descDraining, d)
}
