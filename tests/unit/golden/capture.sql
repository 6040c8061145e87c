WITH live AS MATERIALIZED (
    SELECT (
        SELECT CAST(
            json_build_object(
                'status', status,
                'assets', (
                    SELECT coalesce(
                        json_object_agg(
                            kind || '/' || slug, json_build_object('name', name, 'sha256', sha256, 'config', config)
                        ),
                        '{}'
                    )
                    FROM ours.deployment_assets
                    WHERE deployment_id = deployments.id
                ),
                'tools', (
                    SELECT coalesce(
                        json_object_agg(
                            urn, json_build_object('name', name, 'description', description, 'definition', definition)
                        ),
                        '{}'
                    )
                    FROM ours.tool_definitions
                    WHERE deployment_id = deployments.id
                ),
                'resources', (
                    SELECT coalesce(
                        json_object_agg(
                            urn, json_build_object('name', name, 'description', description, 'definition', definition)
                        ),
                        '{}'
                    )
                    FROM ours.resource_definitions
                    WHERE deployment_id = deployments.id
                )
            ) AS jsonb
        )
        FROM ours.deployments
        WHERE id = (SELECT active_deployment_id FROM ours.projects WHERE id = :project_id)
    ) AS "deployment",
        (
            SELECT jsonb_build_object(
                'config', (
                    SELECT coalesce(jsonb_object_agg(key, value), '{}')
                    FROM ours.system_configs
                    WHERE project_id = :project_id
                ),
                'prompts', (
                    SELECT coalesce(
                        jsonb_object_agg(
                            name,
                            jsonb_build_object(
                                'description', description,
                                'prompt', prompt,
                                'engine', engine,
                                'kind', kind,
                                'tool_urn', tool_urn
                            ) || CASE WHEN arguments IS NULL THEN '{}' ELSE jsonb_build_object(
                                'arguments', arguments
                            ) END
                        ),
                        '{}'
                    )
                    FROM ours.prompt_templates
                    WHERE project_id = :project_id
                      AND deleted_at IS NULL
                )
            )
        ) AS "system",
        (
            SELECT jsonb_build_object('name', name, 'description', description, 'settings', settings)
            FROM ours.toolsets
            WHERE id = :toolset_id
        ) AS "settings",
        (
            SELECT jsonb_build_object(
                'urns', coalesce(array_agg(tool_urn ORDER BY position, tool_urn COLLATE "C"), '{}'),
                'positions', coalesce(array_agg(position ORDER BY position, tool_urn COLLATE "C"), '{}')
            )
            FROM ours.toolset_tools
            WHERE toolset_id = :toolset_id
        ) AS "tools",
        (
            SELECT jsonb_build_object(
                'urns', coalesce(array_agg(resource_urn ORDER BY position, resource_urn COLLATE "C"), '{}'),
                'positions', coalesce(array_agg(position ORDER BY position, resource_urn COLLATE "C"), '{}')
            )
            FROM ours.toolset_resources
            WHERE toolset_id = :toolset_id
        ) AS "resources",
        (
            SELECT CAST(json_object_agg(tool_urn, config) AS jsonb)
            FROM ours.variations
            WHERE organization_id = :organization_id
              AND toolset_id IS NULL
        ) AS "global_variations",
        (
            SELECT CAST(json_object_agg(tool_urn, config) AS jsonb)
            FROM ours.variations
            WHERE organization_id = :organization_id
              AND toolset_id = :toolset_id
        ) AS "toolset_variations",
        (SELECT jsonb_object_agg(name, value) FROM flags WHERE owner_id = :toolset_id) AS "flags"
),
digests AS MATERIALIZED (
    SELECT ours.release_worker_digest("deployment") AS "deployment",
        ours.release_worker_digest("system") AS "system",
        ours.release_worker_digest("settings") AS "settings",
        ours.release_worker_digest("tools") AS "tools",
        ours.release_worker_digest("resources") AS "resources",
        ours.release_worker_digest("global_variations") AS "global_variations",
        ours.release_worker_digest("toolset_variations") AS "toolset_variations",
        ours.release_worker_digest("flags") AS "flags"
    FROM live
),
parts AS MATERIALIZED (
    SELECT ours.release_worker_digest(
        (jsonb_build_object('tools', tools, 'resources', resources, 'settings', settings))
    ) AS toolset_version,
        ours.release_worker_digest(
            (
                jsonb_build_object(
                    'deployment', coalesce(
                        deployment, '74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b'
                    ),
                    'system', coalesce(system, '74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b')
                )
            )
        ) AS source_state,
        global_variations AS global_variations,
        toolset_variations AS toolset_variations,
        jsonb_strip_nulls((jsonb_build_object('flags', "flags"))) AS plug_ins
    FROM digests
),
wanted AS MATERIALIZED (
    SELECT digest
    FROM (
        SELECT ours.release_worker_digest(
            (
                jsonb_build_object(
                    'toolset_version', toolset_version,
                    'source_state', source_state,
                    'global_variations', global_variations,
                    'toolset_variations', toolset_variations
                )
            ) || CASE plug_ins WHEN '{}' THEN '{}' ELSE jsonb_build_object('components', plug_ins) END
        ) AS digest
        FROM parts
    ) AS whole
    WHERE digest IS DISTINCT FROM CAST(:unless AS text)
),
latest_toolset_version AS MATERIALIZED (
    SELECT id, version, digest
    FROM ours.toolset_versions
    WHERE toolset_id = :toolset_id
    ORDER BY version DESC
    LIMIT 1
),
new_toolset_version AS (
    INSERT INTO ours.toolset_versions (
        toolset_id,
        version,
        tool_urns,
        tool_positions,
        resource_urns,
        resource_positions,
        name,
        description,
        settings,
        form,
        digest,
        predecessor_id
    )
    SELECT :toolset_id,
        coalesce(latest.version, 0) + 1,
        (SELECT urns FROM jsonb_to_record((SELECT tools FROM live)) AS content (urns text[])),
        (SELECT positions FROM jsonb_to_record((SELECT tools FROM live)) AS content (positions int[])),
        (SELECT urns FROM jsonb_to_record((SELECT resources FROM live)) AS content (urns text[])),
        (SELECT positions FROM jsonb_to_record((SELECT resources FROM live)) AS content (positions int[])),
        settings ->> 'name',
        settings ->> 'description',
        settings -> 'settings',
        1,
        parts.toolset_version,
        latest.id
    FROM wanted
    CROSS JOIN parts
    CROSS JOIN (SELECT settings FROM live) AS live
    LEFT JOIN latest_toolset_version AS latest ON true
    WHERE latest.digest IS DISTINCT FROM parts.toolset_version
    RETURNING id, version
),
toolset_version AS (
    SELECT id, version
    FROM new_toolset_version
    UNION ALL
    SELECT id, version
    FROM latest_toolset_version
    JOIN parts ON digest = parts.toolset_version
),
same_source_state AS MATERIALIZED (
    SELECT id
    FROM ours.source_states
    WHERE project_id = :project_id
      AND digest = (SELECT source_state FROM parts)
),
new_source_state AS (
    INSERT INTO ours.source_states (project_id, deployment_id, deployment_snapshot, system_snapshot, form, digest)
    SELECT id,
        active_deployment_id,
        coalesce((SELECT deployment FROM live), 'null'),
        (SELECT system FROM live),
        1,
        parts.source_state
    FROM wanted
    CROSS JOIN parts
    CROSS JOIN ours.projects
    WHERE projects.id = :project_id
      AND NOT EXISTS (SELECT FROM same_source_state)
    FOR KEY SHARE OF projects NOWAIT
    RETURNING id
),
source_state AS (SELECT id FROM new_source_state UNION ALL SELECT id FROM same_source_state),
latest_global_variations AS MATERIALIZED (
    SELECT id, version, digest
    FROM ours.variation_versions
    WHERE organization_id = :organization_id
      AND toolset_id IS NULL
    ORDER BY version DESC
    LIMIT 1
),
new_global_variations AS (
    INSERT INTO ours.variation_versions (
        scope, organization_id, toolset_id, version, config, form, digest, predecessor_id
    )
    SELECT 'global',
        organizations.id,
        CAST(NULL AS uuid),
        coalesce(latest.version, 0) + 1,
        (SELECT global_variations FROM live),
        1,
        parts.global_variations,
        latest.id
    FROM wanted
    CROSS JOIN parts
    CROSS JOIN ours.organizations
    LEFT JOIN latest_global_variations AS latest ON true
    WHERE organizations.id = :organization_id
      AND parts.global_variations IS NOT NULL
      AND latest.digest IS DISTINCT FROM parts.global_variations
    FOR KEY SHARE OF organizations NOWAIT
    RETURNING id
),
global_variations_version AS (
    SELECT id
    FROM new_global_variations
    UNION ALL
    SELECT id
    FROM latest_global_variations AS latest
    JOIN parts ON latest.digest = parts.global_variations
),
latest_toolset_variations AS MATERIALIZED (
    SELECT id, version, digest
    FROM ours.variation_versions
    WHERE organization_id = :organization_id
      AND toolset_id = :toolset_id
    ORDER BY version DESC
    LIMIT 1
),
new_toolset_variations AS (
    INSERT INTO ours.variation_versions (
        scope, organization_id, toolset_id, version, config, form, digest, predecessor_id
    )
    SELECT 'toolset',
        organizations.id,
        :toolset_id,
        coalesce(latest.version, 0) + 1,
        (SELECT toolset_variations FROM live),
        1,
        parts.toolset_variations,
        latest.id
    FROM wanted
    CROSS JOIN parts
    CROSS JOIN ours.organizations
    LEFT JOIN latest_toolset_variations AS latest ON true
    WHERE organizations.id = :organization_id
      AND parts.toolset_variations IS NOT NULL
      AND latest.digest IS DISTINCT FROM parts.toolset_variations
    FOR KEY SHARE OF organizations NOWAIT
    RETURNING id
),
toolset_variations_version AS (
    SELECT id
    FROM new_toolset_variations
    UNION ALL
    SELECT id
    FROM latest_toolset_variations AS latest
    JOIN parts ON latest.digest = parts.toolset_variations
),
release AS (
    INSERT INTO ours.toolset_releases (
        toolset_id,
        release_number,
        kind,
        toolset_version_id,
        source_state_id,
        global_variations_version_id,
        toolset_variations_version_id,
        digest,
        predecessor_id,
        notes,
        labels,
        released_by,
        request_id,
        deployment_id,
        created_at
    )
    SELECT :toolset_id,
        (SELECT coalesce(max(release_number), 0) + 1 FROM ours.toolset_releases WHERE toolset_id = :toolset_id),
        :kind,
        toolset_version.id,
        source_state.id,
        (SELECT id FROM global_variations_version),
        (SELECT id FROM toolset_variations_version),
        wanted.digest,
        CAST(:predecessor_id AS uuid),
        :notes,
        CAST(:labels AS jsonb),
        :released_by,
        :request_id,
        (SELECT active_deployment_id FROM ours.projects WHERE id = :project_id),
        clock_timestamp()
    FROM wanted
    CROSS JOIN toolset_version
    CROSS JOIN source_state
    RETURNING id,
        toolset_id,
        release_number,
        kind,
        toolset_version_id,
        source_state_id,
        global_variations_version_id,
        toolset_variations_version_id,
        digest,
        predecessor_id,
        notes,
        labels,
        released_by,
        request_id,
        created_at
),
pointed AS (
    UPDATE ours.toolsets
    SET current_release_id = release.id
    FROM release
    WHERE toolsets.id = :toolset_id
      AND :make_current
),
same_plug_in_0 AS MATERIALIZED (
    SELECT id
    FROM ours.component_states
    WHERE component = 'flags'
      AND scope_id = :toolset_id
      AND digest = (
          SELECT coalesce("flags", '74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b')
          FROM digests
      )
),
new_plug_in_0 AS (
    INSERT INTO ours.component_states (component, scope_id, content, form, digest)
    SELECT 'flags',
        :toolset_id,
        coalesce((SELECT "flags" FROM live), 'null'),
        1,
        (SELECT coalesce("flags", '74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b') FROM digests)
    FROM wanted
    WHERE NOT EXISTS (SELECT FROM same_plug_in_0)
    RETURNING id
),
linked_plug_in_0 AS (
    INSERT INTO ours.release_components (release_id, component, component_state_id)
    SELECT release.id, 'flags', state.id
    FROM release
    CROSS JOIN (SELECT id FROM new_plug_in_0 UNION ALL SELECT id FROM same_plug_in_0) AS state
)
SELECT (
    SELECT to_jsonb(
        found
    ) || jsonb_build_object(
        'starts_at', found.starts_at AT TIME ZONE 'UTC',
        'ends_at', found.ends_at AT TIME ZONE 'UTC',
        'created_at', found.created_at AT TIME ZONE 'UTC'
    )
    FROM (
        SELECT f.id,
            f.organization_id,
            f.project_id,
            (
                SELECT concat_ws('/', o.slug, (SELECT p.slug FROM ours.projects p WHERE p.id = f.project_id))
                FROM ours.organizations o
                WHERE o.id = f.organization_id
            ) AS scope,
            f.starts_at,
            f.ends_at,
            f.reason,
            f.created_by,
            f.created_at
        FROM ours.release_freezes f
        WHERE f.organization_id = :organization_id
          AND (f.project_id IS NULL OR f.project_id = CAST(:project_id AS uuid))
          AND f.starts_at <= statement_timestamp()
          AND statement_timestamp() < f.ends_at
        ORDER BY f.ends_at DESC, f.id
        LIMIT 1
    ) AS found
) AS freeze,
    written.*
FROM (VALUES (1)) AS always
LEFT JOIN (
    SELECT release.id,
        release.toolset_id,
        release.release_number,
        release.kind,
        release.toolset_version_id,
        toolset_version.version AS toolset_version,
        release.source_state_id,
        release.global_variations_version_id,
        release.toolset_variations_version_id,
        release.digest,
        release.predecessor_id,
        release.notes,
        release.labels,
        release.released_by,
        release.request_id,
        release.created_at
    FROM release, toolset_version
) AS written ON true
