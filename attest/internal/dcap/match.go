// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

// standing is what the TCB info says of a platform.
type standing struct {
	status     Status // of everything together, without the quoting enclave
	platform   Status // of the level that was matched
	module     Status // of the TDX module, empty if nothing more is known of it than the level
	advisories []string
	date       string // of the level that was matched
}

// evaluate finds the level of a platform as Intel's quote verification library
// does. td is nil for SGX; qe is the status of the quoting enclave, which is
// merged in by the caller and only decides here whether relaunching would help.
func (t *tcbInfo) evaluate(p *platform, td *TDReport, qe Status) standing {
	sgx, full := t.match(p, td)
	if full == nil {
		return standing{status: NotSupported, platform: NotSupported}
	}
	s := standing{
		status: full.Status, platform: full.Status,
		advisories: append([]string(nil), full.Advisories...),
		date:       full.Date.UTC().Format("2006-01-02"),
	}
	if td == nil {
		return s
	}
	if version := td.TEETCBSVN[1]; version > 0 {
		m := t.moduleNamed(version)
		if m == nil {
			return standing{status: NotSupported, platform: full.Status, module: NotSupported}
		}
		var more []string
		s.module, more = level(m.Levels, uint16(td.TEETCBSVN[0]))
		s.advisories = append(s.advisories, more...)
		s.status = converge(s.status, s.module)
	}
	if td.V15 && s.module == OutOfDate {
		s.status = t.relaunch(sgx.Status, s.status, qe, td)
	}
	return s
}

// match gives the first level that the SGX components and the PCE reach, and
// the first that the TDX components reach as well (for SGX, the same).
func (t *tcbInfo) match(p *platform, td *TDReport) (sgx, full *tcbLevel) {
	for i := range t.Levels {
		l := &t.Levels[i]
		if !reaches(p.components, l.TCB.SGX, 0) || p.pceSVN < *l.TCB.PCESVN {
			continue
		}
		if sgx == nil {
			sgx = l
		}
		if td == nil || reaches(td.TEETCBSVN, l.TCB.TDX, firstTDX(td)) {
			return sgx, l
		}
	}
	return sgx, nil
}

// firstTDX is the first TDX component that counts: the first two say the
// module's version and SVN, which from version 1 on have levels of their own.
func firstTDX(td *TDReport) int {
	if td.TEETCBSVN[1] > 0 {
		return 2
	}
	return 0
}

func reaches(have [16]uint8, want []component, from int) bool {
	for i := from; i < len(have); i++ {
		if have[i] < *want[i].SVN {
			return false
		}
	}
	return true
}

// relaunch gives the status of a TD whose module is out of date. If it is so
// only because the TD was started under an older TDX module than the machine
// runs now, relaunching it is enough: nothing else is out of date, and the
// present module is at the newest level.
func (t *tcbInfo) relaunch(sgx, status, qe Status, td *TDReport) Status {
	if qe == OutOfDate || qe == Revoked || qe == NotSupported ||
		status != OutOfDate && status != OutOfDateConfigurationNeeded {
		return status
	}
	switch sgx {
	case UpToDate, SWHardeningNeeded, ConfigurationNeeded, ConfigurationAndSWHardeningNeeded:
	default:
		return status
	}
	newest, now := &t.Levels[0], td.TEETCBSVN2
	wanted := uint16(*newest.TCB.TDX[0].SVN)
	if now[1] > 0 {
		m := t.moduleNamed(now[1])
		if m == nil {
			return NotSupported
		}
		wanted = *m.Levels[0].TCB.ISVSVN
	}
	switch {
	case uint16(now[0]) < wanted || now[2] < *newest.TCB.TDX[2].SVN:
		return status
	case configurationNeeded(sgx) || configurationNeeded(status):
		return TDRelaunchAdvisedConfigurationNeeded
	}
	return TDRelaunchAdvised
}
