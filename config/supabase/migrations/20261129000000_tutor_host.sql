-- Learners' data that tutors use, and who may touch it. For a Supabase database: it has the schema
-- `auth` with `auth.uid()`, and the roles `anon` and `authenticated`.
--
-- Learners' rows are read and written as `authenticated` with the claims of the learner's JWT; the
-- policies below compare them with the row. Session records are written as `agent_service`.

-- The host logs in as this role and has no rights of its own: each transaction takes one of the two
-- roles. It cannot log in before `alter role loqua_host password …`. 20 is the guide's max_connections.
create role agent_service nologin;
create role loqua_host login noinherit connection limit 20;
grant authenticated, agent_service to loqua_host;

create table user_preferences (
    user_id uuid primary key references auth.users on delete cascade,
    language_learning text not null,
    native_language text,
    learning_pace text not null default 'moderate'
        check (learning_pace in ('slow', 'moderate', 'fast')),
    focus_areas text[] not null default '{}',
    session_length_preference integer check (session_length_preference > 0), -- minutes
    updated_at timestamptz not null default now()
);

create table user_contexts (
    user_id uuid primary key references auth.users on delete cascade,
    total_sessions integer not null default 0,
    total_conversation_time numeric not null default 0, -- minutes
    words_learned integer not null default 0,
    phrases_practiced integer not null default 0,
    pronunciation_score_avg numeric check (pronunciation_score_avg between 0 and 100),
    grammar_points_covered text[] not null default '{}',
    achievements_unlocked text[] not null default '{}',
    last_session_date timestamptz,
    current_streak integer not null default 0, -- days
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

-- The latest progress of each lesson, cumulative since it began.
create table user_progress (
    user_id uuid not null references auth.users on delete cascade,
    session_id text not null,
    agent_id text not null,
    status text not null check (status in ('in_progress', 'completed', 'failed')),
    words_learned integer not null check (words_learned >= 0),
    phrases_practiced integer not null check (phrases_practiced >= 0),
    pronunciation_score numeric check (pronunciation_score between 0 and 100),
    grammar_points text[] not null default '{}',
    updated_at timestamptz not null default now(),
    primary key (user_id, session_id)
);

create table learning_sessions (
    user_id uuid not null references auth.users on delete cascade,
    session_id text not null,
    agent_id text not null,
    duration_minutes numeric not null check (duration_minutes >= 0),
    topics_covered text[] not null default '{}',
    new_vocabulary jsonb not null default '[]' check (jsonb_typeof(new_vocabulary) = 'array'),
    grammar_points text[] not null default '{}',
    pronunciation_practice_count integer check (pronunciation_practice_count >= 0),
    overall_performance text not null
        check (overall_performance in ('excellent', 'good', 'fair', 'needs_improvement')),
    achievements text[] not null default '{}',
    next_session_recommendations text[] not null default '{}',
    created_at timestamptz not null default now(),
    primary key (user_id, session_id)
);

create index on learning_sessions (user_id, created_at desc); -- a learner's history

-- The words of all of a learner's sessions, each once.
create table user_vocabulary (
    user_id uuid not null references auth.users on delete cascade,
    language text not null,
    word text not null,
    translation text,
    sessions integer not null default 1, -- in which it was new
    updated_at timestamptz not null default now(),
    primary key (user_id, language, word)
);

alter table user_preferences enable row level security;
alter table user_contexts enable row level security;
alter table user_progress enable row level security;
alter table learning_sessions enable row level security;
alter table user_vocabulary enable row level security;

-- Supabase grants all tables of `public` to all its roles; the policies alone would then decide.
revoke all on user_preferences, user_contexts, user_progress, learning_sessions, user_vocabulary
    from public, anon, authenticated;

grant select, insert, update on user_preferences, user_contexts, user_progress to authenticated;
grant select on learning_sessions, user_vocabulary to authenticated;

-- (select auth.uid()) is evaluated once for a statement, not for each row.
create policy own_rows on user_preferences for all to authenticated
    using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
create policy own_rows on user_contexts for all to authenticated
    using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
create policy own_rows on user_progress for all to authenticated
    using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
create policy own_rows on learning_sessions for select to authenticated
    using ((select auth.uid()) = user_id);
create policy own_rows on user_vocabulary for select to authenticated
    using ((select auth.uid()) = user_id);

-- The guide's rights of the service, and those that merging vocabulary needs.
grant select, insert, update on learning_sessions to agent_service;
grant select, update on user_contexts to agent_service;
grant select, insert, update on user_vocabulary to agent_service;

create policy service on learning_sessions for all to agent_service using (true) with check (true);
create policy service on user_contexts for all to agent_service using (true) with check (true);
create policy service on user_vocabulary for all to agent_service using (true) with check (true);

-- Inserts session records in bulk, adds them to their learners' totals, and merges the vocabulary.
-- Returns the records that were new: a record that is sent again changes nothing. Runs with the
-- caller's rights.
create function record_sessions(records jsonb)
returns table (user_id uuid, session_id text)
language sql
set search_path = public, pg_temp
as $$
    with added as (
        insert into learning_sessions (
            user_id, session_id, agent_id, duration_minutes, topics_covered, new_vocabulary,
            grammar_points, pronunciation_practice_count, overall_performance, achievements,
            next_session_recommendations, created_at
        )
        select
            it.user_id, it.session_id, it.agent_id, it.duration_minutes,
            coalesce(it.topics_covered, '{}'), coalesce(it.new_vocabulary, '[]'),
            coalesce(it.grammar_points, '{}'), it.pronunciation_practice_count,
            it.overall_performance, coalesce(it.achievements, '{}'),
            coalesce(it.next_session_recommendations, '{}'), coalesce(it.created_at, now())
        from jsonb_populate_recordset(null::learning_sessions, records) as it
        order by it.user_id, it.session_id -- two hosts lock rows in the same order
        on conflict do nothing
        returning *
    ),
    totals as (
        update user_contexts
        set
            total_sessions = total_sessions + new.sessions,
            total_conversation_time = total_conversation_time + new.minutes,
            last_session_date = greatest(last_session_date, new.latest),
            achievements_unlocked = array(
                select distinct unnest(achievements_unlocked || new.achievements) order by 1
            ),
            grammar_points_covered = array(
                select distinct unnest(grammar_points_covered || new.grammar_points) order by 1
            ),
            updated_at = now()
        from (
            select
                added.user_id,
                count(*) as sessions,
                sum(added.duration_minutes) as minutes,
                max(added.created_at) as latest,
                array(
                    select distinct unnest(it.achievements) from added as it
                    where it.user_id = added.user_id
                ) as achievements,
                array(
                    select distinct unnest(it.grammar_points) from added as it
                    where it.user_id = added.user_id
                ) as grammar_points
            from added
            group by added.user_id
        ) as new
        where user_contexts.user_id = new.user_id
    ),
    words as (
        insert into user_vocabulary (user_id, language, word, translation, sessions)
        select added.user_id, it.language, it.word, max(it.translation), count(distinct added.session_id)
        from added
        cross join lateral jsonb_to_recordset(added.new_vocabulary)
            as it (word text, translation text, language text)
        where it.word is not null and it.language is not null
        group by added.user_id, it.language, it.word
        order by added.user_id, it.language, it.word
        on conflict (user_id, language, word) do update
        set
            translation = coalesce(excluded.translation, user_vocabulary.translation),
            sessions = user_vocabulary.sessions + excluded.sessions,
            updated_at = now()
    )
    select added.user_id, added.session_id from added
$$;

revoke execute on function record_sessions from public, anon, authenticated;
grant execute on function record_sessions to agent_service;
