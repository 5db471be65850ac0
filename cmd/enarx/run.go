// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/hex"
	"encoding/pem"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/process"
	"github.com/enarx/enarx-go/loader/qemu"
)

// runFlags are the flags of `enarx run`.
type runFlags struct {
	workloadFlags
	platform string
	publish  []string
	dirs     []string
	cert     string
	keep     string
	image    string
	accel    string
	json     bool
	quiet    bool
}

func newRunCmd(a *app) *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run [flags] MODULE [-- ARGS...]",
		Short: "Run a workload in a Keep on this machine",
		Long: `Run MODULE (.wasm, .wat or a bundle) in a Keep on this machine. Standard streams,
exit code and signals pass through. The workload gets nothing of this machine but
what Enarx.toml and the flags give it.

The platforms to run on are process, sim, vm and vtpm; enarx platform says which work
here. On all of them whoever administers this machine can see inside the Keep; enarx
says so on every run. vm and vtpm boot a Keep image, which enarx image build makes; by
emulation, where the machine has no KVM, they are many times slower.

A first signal is passed on to the workload, which it ends; a second one does not
wait for that.

` + exitHelp(),
		Example: `  enarx run hello.wasm
  enarx run --env LANG=C --dir ./data:/data:ro tool.wasm -- --verbose /data/x
  enarx run --config Enarx.toml --publish 8443:443 --cert cert.pem server.wasm`,
		Args:              moduleArgs,
		ValidArgsFunction: completeModule,
		RunE: func(c *cobra.Command, args []string) error {
			a.ui.jsonErrors, a.ui.quiet = f.json, f.json || f.quiet
			return a.runLocal(c.Context(), &f, args[0], args[1:])
		},
	}
	fs := c.Flags()
	fs.StringVar(&f.platform, "platform", "auto", "`NAME` of the platform: auto, process, sim, vm or vtpm")
	addWorkloadFlags(c, &f.workloadFlags)
	addSessionFlags(c, &f.workloadFlags, &f.publish, &f.cert)
	fs.StringArrayVar(&f.dirs, "dir", nil, "lend a live directory to the workload, `HOST:GUEST[:ro]`; not measured, platform process only (repeatable)")
	addKeepFlag(c, &f.keep)
	addMachineFlags(c, &f.image, &f.accel)
	fs.BoolVar(&f.json, "json", false, "end with one line of JSON on stderr that says whose exit code it is")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "show no progress; warnings stay")
	c.RegisterFlagCompletionFunc("platform", cobra.FixedCompletions(append([]string{"auto"}, runPlatforms...), cobra.ShellCompDirectiveNoFileComp))
	return c
}

// addSessionFlags are the flags that run and deploy share and that are not
// part of the bundle.
func addSessionFlags(c *cobra.Command, f *workloadFlags, publish *[]string, cert *string) {
	fs := c.Flags()
	fs.StringArrayVar(&f.secrets, "secret", nil, "value of a secret, `NAME=@FILE`; its name is part of the bundle, its value is not (repeatable)")
	fs.StringArrayVar(publish, "publish", nil, "where the host offers a port on which the workload listens, `HOST:GUEST` such as 8443:443 (repeatable)")
	fs.StringVar(cert, "cert", "", "write the workload's TLS certificate to `FILE` when it runs (curl --cacert FILE)")
}

// runPlatforms are those that enarx run takes. Of the confidential ones a run on
// one's own machine would prove nothing to anybody: they are for agents.
var runPlatforms = []string{attest.PlatformProcess, attest.PlatformSim, attest.PlatformVM, attest.PlatformVTPM}

// localRun is one `enarx run` from its checked flags to its end.
type localRun struct {
	a        *app
	f        *runFlags
	platform string
	publish  []session.Publish
	dirs     []loader.Dir
	steps    *progress
	work     *packed
	secrets  map[string][]byte
	runtime  *keepRuntime
	sim      *localSim
	keep     *localKeep
	cache    *runCache // platform process only
	owner    *session.OwnerKey
	started  *client.Started

	loader loader.Loader

	launched chan struct{}  // closed when launch has returned
	prepared chan error     // what prepare returned
	behind   sync.WaitGroup // what runs in the background
}

func (a *app) runLocal(ctx context.Context, f *runFlags, module string, args []string) error {
	r := &localRun{a: a, f: f, steps: a.ui.begin(), launched: make(chan struct{}), prepared: make(chan error, 1)}
	if err := r.check(); err != nil {
		return err
	}
	ctx, signals, running, stop := relaySignals(ctx)
	defer stop()
	if err := r.open(); err != nil {
		return err
	}
	defer r.close()

	if err := r.packAndLaunch(ctx, module, args); err != nil {
		return err
	}
	r.steps.done("start keep", r.platform)

	exit, err := r.session(ctx, signals, running)
	if err != nil {
		return r.keep.whyLost(sessionError(ctx, err))
	}
	r.finish(exit)
	return nil
}

// packAndLaunch starts the Keep while the workload is packed: neither needs the
// other. A machine's memory is fixed when it starts, so there the workload comes
// first.
func (r *localRun) packAndLaunch(ctx context.Context, module string, args []string) error {
	launch := make(chan error, 1)
	start := func() {
		defer close(r.launched)
		launch <- r.launch(ctx)
	}
	if !r.machine() {
		go start()
	}
	err := r.pack(module, args)
	if err == nil {
		r.behind.Go(func() { r.prepared <- r.prepare() })
	}
	if r.machine() {
		if err != nil {
			return err
		}
		go start()
	}
	if lerr := <-launch; err == nil {
		err = sessionError(ctx, lerr)
	}
	return err
}

// machine says whether the platform is a virtual machine.
func (r *localRun) machine() bool {
	return r.platform == attest.PlatformVM || r.platform == attest.PlatformVTPM
}

// check reads the flags that need nothing but themselves.
func (r *localRun) check() (err error) {
	switch p := r.f.platform; {
	case p == "auto":
		// Of the platforms that this build can start, process is the one
		// without a pretence of evidence.
		r.platform = attest.PlatformProcess
	case slices.Contains(runPlatforms, p):
		r.platform = p
	case slices.Contains(platformNames, p):
		return failf(exitPlatform, "enarx deploy --platform "+p+" runs it on a host that has it, and enarx platform "+p+" shows what this one has",
			"enarx run does not start platform %s", p)
	default:
		return failf(exitUsage, "platforms are auto, "+strings.Join(runPlatforms, ", "), "--platform %q is not known", p)
	}
	if r.publish, err = parsePublish(r.f.publish); err != nil {
		return err
	}
	if r.dirs, err = parseDirs(r.f.dirs); err != nil {
		return err
	}
	if len(r.dirs) > 0 && r.platform != attest.PlatformProcess {
		return failf(exitUsage, "pack the files into the bundle with [[mounts]] of Enarx.toml",
			"--dir lends a live directory and exists for platform process only, not %s", r.platform)
	}
	return nil
}

// open finds what the Keep is started from.
func (r *localRun) open() (err error) {
	if r.runtime, err = r.a.findKeep(r.f.keep); err != nil {
		return err
	}
	if r.machine() {
		l, err := localMachineLoader(r.platform, r.f.image, r.f.accel)
		if err != nil {
			return err
		}
		r.loader = l
	} else {
		r.loader = process.New()
	}
	if r.platform == attest.PlatformProcess {
		if r.cache = openRunCache(); r.cache.cache != nil {
			r.runtime.recallFrom(r.cache.cache)
		}
	}
	return nil
}

// launch starts the Keep.
func (r *localRun) launch(ctx context.Context) (err error) {
	r.behind.Go(func() { r.runtime.measure() })
	if r.platform == attest.PlatformSim {
		if err := r.runtime.demandGenuine(); err != nil {
			return err
		}
		if r.sim, err = openLocalSim(r.runtime); err != nil {
			return err
		}
	}
	publish := map[uint16]string{}
	for _, p := range r.publish {
		publish[p.Guest] = p.Host
	}
	spec := localSpec{Platform: r.platform, Loader: r.loader, Keep: r.runtime, Dirs: r.dirs, Publish: publish, Hardware: r.sim}
	if r.machine() {
		spec.Memory = memoryClass(r.work, qemu.DefaultMemory(r.platform))
		if r.platform == attest.PlatformVTPM {
			if spec.Hints, err = localTPMHints(); err != nil {
				return err
			}
		}
		spec.Progress = func(step string) { r.steps.done(step, r.platform) }
	}
	if r.cache != nil {
		spec.CacheDir = r.cache.lend
	}
	if r.keep, err = startLocal(ctx, spec); err != nil {
		return err
	}
	for _, l := range r.keep.keep.Layers() {
		if l.Name == "boot" {
			r.a.ui.warningf("the machine was started twice: %s", l.Detail)
		}
	}
	return nil
}

// pack makes the bundle and checks what depends on it, before anything of it
// goes anywhere.
func (r *localRun) pack(module string, args []string) (err error) {
	if r.work, err = r.a.pack(module, &r.f.workloadFlags, args); err != nil {
		return err
	}
	if r.work.Config.Confidential {
		return failf(exitAttest, "deploy it to a host with snp, tdx or sgx; or, if the host may see inside, set confidential = false in Enarx.toml",
			"the workload is marked confidential, and on platform %s the host can see inside", r.platform)
	}
	if err := checkPublish(r.publish, r.work.Config); err != nil {
		return err
	}
	if r.secrets, err = r.a.secretValues(r.f.secrets, r.work.Config.Secrets); err != nil {
		return err
	}
	r.warn()
	r.steps.done("pack", r.work.summary())
	return nil
}

// warn says on every run what this platform does not protect from.
func (r *localRun) warn() {
	chosen := ""
	if r.f.platform == "auto" {
		chosen = ", the strongest that works here"
	}
	switch r.platform {
	case attest.PlatformProcess:
		r.a.ui.warningf("platform process%s: no TEE; whoever administers this machine can see inside the Keep", chosen)
	case attest.PlatformVM:
		r.a.ui.warningf("platform vm%s: no TEE; whoever administers this machine can see inside the Keep", chosen)
	case attest.PlatformVTPM:
		r.a.ui.warningf("platform vtpm%s: a software TPM of this machine says what was booted; whoever administers the machine can see inside the Keep", chosen)
	case attest.PlatformSim:
		r.a.ui.warningf("platform sim%s: simulated evidence that proves nothing; whoever administers this machine can see inside the Keep", chosen)
	}
	for _, d := range r.dirs {
		mode := "read and write"
		if d.ReadOnly {
			mode = "read only"
		}
		r.a.ui.warningf("--dir %s is live, %s, as %s: it is not measured and not part of the bundle's digest", d.Host, mode, d.Guest)
	}
}

// session attests the local Keep like any other and follows the workload.
func (r *localRun) session(ctx context.Context, signals <-chan syscall.Signal, running func()) (*session.Exit, error) {
	tunnel, err := r.keep.Attach(ctx)
	if err != nil {
		return nil, err
	}
	s, err := client.Connect(ctx, tunnel)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	r.steps.done("attested channel", "TLS 1.3, X25519MLKEM768")
	demand, err := r.demand(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.Appraise(demand); err != nil {
		return nil, err
	}
	r.steps.done("appraise", "")
	if err := <-r.prepared; err != nil {
		return nil, err
	}
	if !r.runtime.genuine() {
		r.a.ui.warningf("the Keep runtime %s is not the one this enarx was built with", r.runtime.Path)
	}
	limit := newTimeLimit(ctx, r.work.Config.Limits.TimeoutMS)
	defer limit.end()
	d := client.Deployment{
		Bundle: r.work.Bundle, Digest: r.work.Digest, Secrets: r.secrets, Owner: r.owner,
		Run:   session.Run{Publish: r.publish, Names: certNames("", r.publish)},
		Stdin: r.a.stdin, Stdout: r.a.stdout, Stderr: r.a.ui.workloadStream(), Signals: signals,
		OnStep: func(name string, d time.Duration) {
			limit.step(name)
			r.a.stepTaken(r.steps, name, d)
		},
	}
	var certErr error
	d.OnRunning = func(st *client.Started) {
		running()
		r.started = st
		if certErr = writeCert(r.f.cert, st); certErr != nil {
			s.Close() // ends the workload
		}
	}
	_, exit, err := s.Deploy(limit, d, client.Demand{})
	if certErr != nil {
		return nil, certErr
	}
	return exit, limit.explain(err)
}

// prepare does what has to be done before the workload is sent and needs no
// Keep, while the Keep starts and proves itself. A foreign Keep runtime may have been
// started by now, in its sandbox; nothing is given to it.
func (r *localRun) prepare() (err error) {
	if r.owner, err = session.NewOwnerKey(); err != nil {
		return err
	}
	if err := r.runtime.demandGenuine(); err != nil {
		return err
	}
	if r.cache != nil {
		r.cache.fetch(r.runtime, r.work.Bundle, r.launched)
	}
	return nil
}

// stepTaken names the steps of package client for people. The last one is the
// workload's own time, which a person can see for themselves.
func (a *app) stepTaken(p *progress, name string, d time.Duration) {
	switch name {
	case "run":
		p.steps = append(p.steps, stepResult{name, d.Microseconds()})
		return
	case "evidence of the running keep":
		name = "confirm"
	}
	p.took(name, "", d)
}

// demand is what a local Keep must show: on sim the full appraisal under the
// root that this very run has made or loaded, on process that it is empty.
func (r *localRun) demand(ctx context.Context) (client.Demand, error) {
	d := client.Demand{Platform: r.platform, State: attest.StateEmpty, At: time.Now()}
	if r.platform == attest.PlatformProcess || r.platform == attest.PlatformVM {
		d.InsecureNoTEE = true
		return d, nil
	}
	if r.platform == attest.PlatformVTPM {
		return r.demandTPM(ctx, d)
	}
	v, err := r.sim.verifier()
	if err != nil {
		return d, err
	}
	d.Verifiers = []attest.Verifier{v}
	if !r.runtime.named() {
		digest, _ := keepSHA256()
		if d.Measurements, err = builtin(digest); err != nil { // of no digest: nothing passes
			return d, err
		}
	} else {
		m := sim.Measurement(r.runtime.Digest)
		d.Measurements = []attest.ReferenceValue{{
			Platform: attest.PlatformSim, Measurement: m[:], Release: "unknown", Source: "the Keep runtime that --keep names",
		}}
	}
	d.Decide = func(c *attest.Claims, _ attest.Verdict) error {
		if !c.Verified() || !c.Simulated {
			return failf(exitInternal, "", "the appraisal of a sim Keep gave no simulated claims")
		}
		return nil
	}
	return d, nil
}

// finish reports the end of the workload.
func (r *localRun) finish(e *session.Exit) {
	res := r.a.outcome(e)
	r.a.exit = res.Code
	r.a.tell(res, e.Trace)
	if !r.f.json {
		return
	}
	line := resultLine{
		Exit: res, Platform: r.platform, Bundle: r.work.Digest.String(),
		Keep: "sha256:" + hex.EncodeToString(r.runtime.Digest[:]), Steps: r.steps.steps,
	}
	line.addStarted(r.started)
	r.a.result = &line
}

// addStarted adds what the Keep said when the workload began to run.
func (l *resultLine) addStarted(st *client.Started) {
	if st == nil {
		return
	}
	l.Engine = st.Engine
	for _, s := range st.Steps {
		l.KeepSteps = append(l.KeepSteps, stepResult{s.Name, int64(min(s.US, 1<<62))})
	}
	for _, p := range st.Ports {
		l.Ports = append(l.Ports, portResult(p))
	}
}

// close ends the Keep. Trouble there is worth a line and not the workload's
// exit code.
func (r *localRun) close() {
	if r.keep != nil {
		if err := r.keep.end(); err != nil {
			r.a.ui.warningf("ending the Keep: %v", err)
		}
	}
	r.behind.Wait()
	if r.cache != nil {
		r.cache.collect()
	}
	r.runtime.close()
	if r.keep == nil {
		return
	}
	if err := r.keep.dir.close(); err != nil {
		r.a.ui.warningf("removing the directory of the Keep: %v", err)
	}
	sweepRuns(context.Background())
}

// writeCert writes the workload's certificate when it runs. The file appears
// whole, so that whoever waits for it can use it.
func writeCert(path string, st *client.Started) error {
	if path == "" {
		return nil
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: st.Certificate.Raw})
	return writeFile(path, "the certificate", b, 0o644, false)
}

// certNames are the names under which the workload's listeners can be reached.
func certNames(host string, publish []session.Publish) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if host != "" && !slices.Contains(names, host) {
		names = append(names, host)
	}
	for _, p := range publish {
		if h, _, err := net.SplitHostPort(p.Host); err == nil && h != "" && !slices.Contains(names, h) {
			names = append(names, h)
		}
	}
	return names
}
