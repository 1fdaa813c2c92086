package function

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"mayfly"
	"mayfly/store"
)

// config is the JSON in function_versions.config. Its names are what is on disk: they stay when mayfly.Version's change.
type config struct {
	Description           string            `json:"description,omitempty"`
	Runtime               string            `json:"runtime,omitempty"`
	Handler               string            `json:"handler,omitempty"`
	Role                  string            `json:"role,omitempty"`
	TimeoutMS             int64             `json:"timeout_ms"`
	MemoryMB              int               `json:"memory_mb"`
	EphemeralMB           int               `json:"ephemeral_mb,omitempty"`
	Environment           map[string]string `json:"environment,omitempty"`
	Architectures         []string          `json:"architectures,omitempty"`
	PackageType           string            `json:"package_type,omitempty"`
	Layers                []string          `json:"layers,omitempty"`
	TracingMode           string            `json:"tracing_mode,omitempty"`
	DeadLetterARN         string            `json:"dead_letter_arn,omitempty"`
	KMSKeyARN             string            `json:"kms_key_arn,omitempty"`
	Logging               logging           `json:"logging,omitzero"`
	Vpc                   *vpc              `json:"vpc,omitempty"`
	SnapStart             string            `json:"snap_start,omitempty"`
	Egress                string            `json:"egress,omitempty"`
	StateReason           string            `json:"state_reason,omitempty"`
	StateReasonCode       string            `json:"state_reason_code,omitempty"`
	LastUpdateReason      string            `json:"last_update_reason,omitempty"`
	LastUpdateReasonCode  string            `json:"last_update_reason_code,omitempty"`
	RuntimeVersionARN     string            `json:"runtime_version_arn,omitempty"`
	RecursiveLoop         string            `json:"recursive_loop,omitempty"`
	RuntimeManagementMode string            `json:"runtime_management_mode,omitempty"`
	RuntimeMappedFrom     string            `json:"runtime_mapped_from,omitempty"`
}

type logging struct {
	Format           string `json:"format,omitempty"`
	ApplicationLevel string `json:"application_level,omitempty"`
	SystemLevel      string `json:"system_level,omitempty"`
	Group            string `json:"group,omitempty"`
}

type vpc struct {
	SubnetIDs        []string `json:"subnet_ids,omitempty"`
	SecurityGroupIDs []string `json:"security_group_ids,omitempty"`
	IPv6Allowed      bool     `json:"ipv6_allowed,omitempty"`
}

type cors struct {
	AllowCredentials bool     `json:"allow_credentials,omitempty"`
	AllowHeaders     []string `json:"allow_headers,omitempty"`
	AllowMethods     []string `json:"allow_methods,omitempty"`
	AllowOrigins     []string `json:"allow_origins,omitempty"`
	ExposeHeaders    []string `json:"expose_headers,omitempty"`
	MaxAge           *int     `json:"max_age,omitempty"`
}

func configOf(v *mayfly.Version) config {
	return config{
		Description: v.Description, Runtime: v.Runtime, Handler: v.Handler, Role: v.Role,
		TimeoutMS: v.Timeout.Milliseconds(), MemoryMB: v.MemoryMB, EphemeralMB: v.EphemeralMB,
		Environment: v.Environment, Architectures: v.Architectures, PackageType: v.PackageType, Layers: v.Layers,
		TracingMode: v.TracingMode, DeadLetterARN: v.DeadLetterARN, KMSKeyARN: v.KMSKeyARN,
		Logging: logging(v.Logging), Vpc: (*vpc)(v.Vpc), SnapStart: v.SnapStart, Egress: v.Egress,
		StateReason: v.StateReason, StateReasonCode: v.StateReasonCode,
		LastUpdateReason: v.LastUpdateReason, LastUpdateReasonCode: v.LastUpdateReasonCode,
		RuntimeVersionARN: v.RuntimeVersionARN, RecursiveLoop: v.RecursiveLoop,
		RuntimeManagementMode: v.RuntimeManagementMode, RuntimeMappedFrom: v.RuntimeMappedFrom,
	}
}

func (c config) apply(v *mayfly.Version) {
	v.Description, v.Runtime, v.Handler, v.Role = c.Description, c.Runtime, c.Handler, c.Role
	v.Timeout, v.MemoryMB, v.EphemeralMB = time.Duration(c.TimeoutMS)*time.Millisecond, c.MemoryMB, c.EphemeralMB
	v.Environment, v.Architectures, v.PackageType, v.Layers = c.Environment, c.Architectures, c.PackageType, c.Layers
	v.TracingMode, v.DeadLetterARN, v.KMSKeyARN = c.TracingMode, c.DeadLetterARN, c.KMSKeyARN
	v.Logging, v.Vpc, v.SnapStart, v.Egress = mayfly.Logging(c.Logging), (*mayfly.VpcConfig)(c.Vpc), c.SnapStart, c.Egress
	v.StateReason, v.StateReasonCode = c.StateReason, c.StateReasonCode
	v.LastUpdateReason, v.LastUpdateReasonCode = c.LastUpdateReason, c.LastUpdateReasonCode
	v.RuntimeVersionARN, v.RecursiveLoop = c.RuntimeVersionARN, c.RecursiveLoop
	v.RuntimeManagementMode, v.RuntimeMappedFrom = c.RuntimeManagementMode, c.RuntimeMappedFrom
}

func putFunction(tx *store.Tx, rec *record) error {
	tags, err := json.Marshal(rec.fn.Tags)
	if err != nil {
		return err
	}
	id := rec.fn.ID
	_, err = tx.Exec(`INSERT INTO functions (account, region, name, created_at, next_version, tags, reserved_concurrency) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (account, region, name) DO UPDATE SET next_version = excluded.next_version, tags = excluded.tags,
			reserved_concurrency = excluded.reserved_concurrency`,
		id.Account, id.Region, id.Name, rec.fn.CreatedAt.UnixMicro(), rec.next, string(tags), rec.fn.Reserved)
	return err
}

func putVersion(tx *store.Tx, v *mayfly.Version) error {
	conf, err := json.Marshal(configOf(v))
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO function_versions (account, region, name, version, revision_id, state, last_update_status,
			code_digest, code_size, last_modified, config) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (account, region, name, version) DO UPDATE SET revision_id = excluded.revision_id, state = excluded.state,
			last_update_status = excluded.last_update_status, code_digest = excluded.code_digest,
			code_size = excluded.code_size, last_modified = excluded.last_modified, config = excluded.config`,
		v.ID.Account, v.ID.Region, v.ID.Name, v.Version, v.RevisionID, string(v.State), string(v.LastUpdateStatus),
		v.Code.Digest, v.Code.Size, v.LastModified.UnixMicro(), string(conf))
	return err
}

func deleteVersion(tx *store.Tx, v *mayfly.Version) error {
	_, err := tx.Exec(`DELETE FROM function_versions WHERE account = ? AND region = ? AND name = ? AND version = ?`,
		v.ID.Account, v.ID.Region, v.ID.Name, v.Version)
	return err
}

// deleteFunction relies on ON DELETE CASCADE for versions, aliases and URLs.
func deleteFunction(tx *store.Tx, id mayfly.FunctionID) error {
	_, err := tx.Exec(`DELETE FROM functions WHERE account = ? AND region = ? AND name = ?`, id.Account, id.Region, id.Name)
	return err
}

func putAlias(tx *store.Tx, a *mayfly.Alias) error {
	weights := a.Weights
	if weights == nil {
		weights = map[string]float64{}
	}
	b, err := json.Marshal(weights)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO function_aliases (account, region, name, alias, version, description, weights, revision_id)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (account, region, name, alias) DO UPDATE SET version = excluded.version, description = excluded.description,
			weights = excluded.weights, revision_id = excluded.revision_id`,
		a.Function.Account, a.Function.Region, a.Function.Name, a.Name, a.Version, a.Description, string(b), a.RevisionID)
	return err
}

func deleteAlias(tx *store.Tx, id mayfly.FunctionID, name string) error {
	_, err := tx.Exec(`DELETE FROM function_aliases WHERE account = ? AND region = ? AND name = ? AND alias = ?`,
		id.Account, id.Region, id.Name, name)
	return err
}

func putProvisioned(tx *store.Tx, p *mayfly.Provisioned) error {
	_, err := tx.Exec(`INSERT INTO function_provisioned (account, region, name, qualifier, executions, modified_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (account, region, name, qualifier) DO UPDATE SET executions = excluded.executions, modified_at = excluded.modified_at`,
		p.Function.Account, p.Function.Region, p.Function.Name, p.Qualifier, p.Executions, p.ModifiedAt.UnixMicro())
	return err
}

func deleteProvisioned(tx *store.Tx, id mayfly.FunctionID, qualifier string) error {
	_, err := tx.Exec(`DELETE FROM function_provisioned WHERE account = ? AND region = ? AND name = ? AND qualifier = ?`,
		id.Account, id.Region, id.Name, qualifier)
	return err
}

func putURL(tx *store.Tx, u *mayfly.URLConfig) error {
	policy := ""
	if u.CORS != nil {
		b, err := json.Marshal(cors(*u.CORS))
		if err != nil {
			return err
		}
		policy = string(b)
	}
	_, err := tx.Exec(`INSERT INTO function_urls (id, account, region, name, qualifier, auth_type, invoke_mode, cors, created_at, modified_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET auth_type = excluded.auth_type, invoke_mode = excluded.invoke_mode,
			cors = excluded.cors, modified_at = excluded.modified_at`,
		u.ID, u.Function.Account, u.Function.Region, u.Function.Name, u.Qualifier, u.AuthType, u.InvokeMode, policy,
		u.CreatedAt.UnixMicro(), u.ModifiedAt.UnixMicro())
	return err
}

func deleteURL(tx *store.Tx, id string) error {
	_, err := tx.Exec(`DELETE FROM function_urls WHERE id = ?`, id)
	return err
}

// load reads everything and returns the functions that are on their way to another state.
func (r *Registry) load(ctx context.Context) (unsettled []mayfly.FunctionID, err error) {
	var recs map[mayfly.FunctionID]*record
	err = r.o.DB.View(ctx, func(tx *store.Tx) error {
		recs = make(map[mayfly.FunctionID]*record)
		if err := loadFunctions(tx, recs); err != nil {
			return err
		}
		if err := loadVersions(tx, recs); err != nil {
			return err
		}
		if err := loadAliases(tx, recs); err != nil {
			return err
		}
		if err := loadProvisioned(tx, recs); err != nil {
			return err
		}
		return loadURLs(tx, recs)
	})
	if err != nil {
		return nil, fmt.Errorf("function: load: %w", err)
	}
	byShard := make(map[*shard]map[mayfly.FunctionID]*record)
	urls := make(map[string]*mayfly.URLConfig)
	for id, rec := range recs {
		if rec.latest == nil {
			return nil, mayfly.Errorf(mayfly.KindInternal, "function: the record of %s has no $LATEST", id)
		}
		s := r.records.of(id)
		if byShard[s] == nil {
			byShard[s] = make(map[mayfly.FunctionID]*record)
		}
		byShard[s][id] = rec
		r.usage.replace(id, nil, rec)
		for _, u := range rec.urls {
			urls[u.ID] = u
		}
		on := false
		rec.all(func(v *mayfly.Version) { on = on || !settled(v) })
		if on {
			unsettled = append(unsettled, id)
		}
	}
	for s, m := range byShard {
		s.m.Store(&m)
	}
	r.urls.Store(&urls)
	return unsettled, nil
}

func loadFunctions(tx *store.Tx, recs map[mayfly.FunctionID]*record) error {
	rows, err := tx.Query(`SELECT account, region, name, created_at, next_version, tags, reserved_concurrency FROM functions`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		fn := &mayfly.Function{}
		rec := &record{fn: fn, versions: map[string]*mayfly.Version{}, aliases: map[string]*mayfly.Alias{}, urls: map[string]*mayfly.URLConfig{},
			provisioned: map[string]*mayfly.Provisioned{}}
		var created int64
		var tags string
		if err := rows.Scan(&fn.ID.Account, &fn.ID.Region, &fn.ID.Name, &created, &rec.next, &tags, &fn.Reserved); err != nil {
			return err
		}
		fn.CreatedAt = time.UnixMicro(created).UTC()
		if err := json.Unmarshal([]byte(tags), &fn.Tags); err != nil {
			return fmt.Errorf("tags of %s: %w", fn.ID, err)
		}
		recs[fn.ID] = rec
	}
	return rows.Err()
}

func loadVersions(tx *store.Tx, recs map[mayfly.FunctionID]*record) error {
	rows, err := tx.Query(`SELECT account, region, name, version, revision_id, state, last_update_status,
		code_digest, code_size, last_modified, config FROM function_versions`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		v := &mayfly.Version{}
		var digest, conf string
		var size, modified int64
		if err := rows.Scan(&v.ID.Account, &v.ID.Region, &v.ID.Name, &v.Version, &v.RevisionID, &v.State, &v.LastUpdateStatus,
			&digest, &size, &modified, &conf); err != nil {
			return err
		}
		var c config
		if err := json.Unmarshal([]byte(conf), &c); err != nil {
			return fmt.Errorf("configuration of %s: %w", v.ARN(), err)
		}
		c.apply(v)
		v.Code = codeRef(digest, size)
		v.LastModified = time.UnixMicro(modified).UTC()
		rec := recs[v.ID]
		if v.Version == mayfly.Latest {
			rec.latest = v
		} else {
			rec.versions[v.Version] = v
		}
	}
	return rows.Err()
}

func loadAliases(tx *store.Tx, recs map[mayfly.FunctionID]*record) error {
	rows, err := tx.Query(`SELECT account, region, name, alias, version, description, weights, revision_id FROM function_aliases`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		a := &mayfly.Alias{}
		var weights string
		if err := rows.Scan(&a.Function.Account, &a.Function.Region, &a.Function.Name, &a.Name, &a.Version, &a.Description,
			&weights, &a.RevisionID); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(weights), &a.Weights); err != nil {
			return fmt.Errorf("weights of alias %s: %w", a.Function.ARN(a.Name), err)
		}
		recs[a.Function].aliases[a.Name] = a
	}
	return rows.Err()
}

func loadProvisioned(tx *store.Tx, recs map[mayfly.FunctionID]*record) error {
	rows, err := tx.Query(`SELECT account, region, name, qualifier, executions, modified_at FROM function_provisioned`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		p := &mayfly.Provisioned{}
		var modified int64
		if err := rows.Scan(&p.Function.Account, &p.Function.Region, &p.Function.Name, &p.Qualifier, &p.Executions, &modified); err != nil {
			return err
		}
		p.ModifiedAt = time.UnixMicro(modified).UTC()
		recs[p.Function].provisioned[p.Qualifier] = p
	}
	return rows.Err()
}

func loadURLs(tx *store.Tx, recs map[mayfly.FunctionID]*record) error {
	rows, err := tx.Query(`SELECT id, account, region, name, qualifier, auth_type, invoke_mode, cors, created_at, modified_at FROM function_urls`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		u := &mayfly.URLConfig{}
		var policy string
		var created, modified int64
		if err := rows.Scan(&u.ID, &u.Function.Account, &u.Function.Region, &u.Function.Name, &u.Qualifier, &u.AuthType, &u.InvokeMode,
			&policy, &created, &modified); err != nil {
			return err
		}
		if policy != "" {
			var c cors
			if err := json.Unmarshal([]byte(policy), &c); err != nil {
				return fmt.Errorf("CORS of URL %s: %w", u.ID, err)
			}
			u.CORS = (*mayfly.CORS)(&c)
		}
		u.CreatedAt, u.ModifiedAt = time.UnixMicro(created).UTC(), time.UnixMicro(modified).UTC()
		recs[u.Function].urls[u.Qualifier] = u
	}
	return rows.Err()
}
