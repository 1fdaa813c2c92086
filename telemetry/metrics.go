package telemetry

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the measurements that Mayfly publishes in Prometheus' text format.
type Metrics struct {
	reg *prometheus.Registry

	Invocations *prometheus.CounterVec   // by function and status: success, error, timeout, throttled
	Duration    *prometheus.HistogramVec // seconds, by function and phase: queued, sandbox, init, handler
	ColdStarts  *prometheus.CounterVec   // by function
	BilledMS    *prometheus.CounterVec   // milliseconds charged, by function
	Instances   *prometheus.GaugeVec     // by state: starting, idle, busy
	Destroyed   *prometheus.CounterVec   // instances that ended, by reason: idle, crash, timeout, oom, replaced, evicted, shutdown
	Shells      *prometheus.GaugeVec     // sandboxes made ahead of need that are ready, by runtime
	ShellsTotal *prometheus.CounterVec   // by runtime and what became of them: used, missed (none was ready), failed, expired, evicted
	LogLines    prometheus.Counter
}

// NewMetrics makes a registry of its own, with the Go runtime's and the process's measurements in it.
func NewMetrics() *Metrics {
	m := &Metrics{
		reg: prometheus.NewRegistry(),
		Invocations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mayfly_invocations_total", Help: "Invocations by function and outcome."}, []string{"function", "status"}),
		Duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mayfly_invocation_phase_seconds", Help: "Where the time of invocations went.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 16)}, []string{"function", "phase"}),
		ColdStarts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mayfly_cold_starts_total", Help: "Invocations that waited for a new instance."}, []string{"function"}),
		BilledMS: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mayfly_billed_milliseconds_total", Help: "Milliseconds charged."}, []string{"function"}),
		Instances: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mayfly_instances", Help: "Instances by state."}, []string{"state"}),
		Destroyed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mayfly_instances_destroyed_total", Help: "Instances that ended, by reason."}, []string{"reason"}),
		Shells: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mayfly_shells", Help: "Sandboxes made ahead of need that are ready, by the runtime that waits in them."}, []string{"runtime"}),
		ShellsTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mayfly_shells_total", Help: "Sandboxes made ahead of need by what became of them: used, failed, expired, evicted; and starts that found none: missed."},
			[]string{"runtime", "outcome"}),
		LogLines: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mayfly_function_log_lines_total", Help: "Lines that functions logged."}),
	}
	m.reg.MustRegister(m.Invocations, m.Duration, m.ColdStarts, m.BilledMS, m.Instances, m.Destroyed, m.Shells, m.ShellsTotal, m.LogLines,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Forget drops the series of a function that was deleted.
func (m *Metrics) Forget(function string) {
	l := prometheus.Labels{"function": function}
	m.Invocations.DeletePartialMatch(l)
	m.Duration.DeletePartialMatch(l)
	m.ColdStarts.DeletePartialMatch(l)
	m.BilledMS.DeletePartialMatch(l)
}

// Handler serves the registry.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.reg, promhttp.HandlerOpts{})
}
