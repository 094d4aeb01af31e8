//! The components that the commit section, merging and the engine share.

use std::sync::Arc;

use crate::back_pressure::BackPressure;
use crate::background::Background;
use crate::damaged_files::DamagedFiles;
use crate::data_file::FileTable;
use crate::file_handle::FileRegistry;
use crate::file_set::FileSet;
use crate::keydir::Keydir;
use crate::options::Options;
use crate::rotation::Rotation;
use crate::sealer::Sealer;
use crate::store::Store;
use crate::views::Views;
use crate::waste::WasteSurvey;

/// The components of an open store, each with its own state and lock. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Components {
    pub(crate) store: Arc<Store>,
    pub(crate) keydir: Arc<Keydir>,
    pub(crate) files: Arc<FileSet>,
    pub(crate) views: Arc<Views>,
    pub(crate) background: Arc<Background>,
    pub(crate) rotation: Arc<Rotation>,
    pub(crate) damaged: Arc<DamagedFiles>,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) survey: Arc<WasteSurvey>,
    pub(crate) pressure: Arc<BackPressure>,
}

/// The data of a store, as recovery has left it.
pub(crate) struct Data {
    pub(crate) keydir: Arc<Keydir>,
    pub(crate) files: FileTable,
    pub(crate) registry: Arc<FileRegistry>,
    pub(crate) next_file_id: u64,
}

impl Components {
    pub(crate) fn new(options: &Options, store: Arc<Store>, data: Data) -> Self {
        let Data { keydir, files, registry, next_file_id } = data;
        let (bytes, merge) = (options.data_file_bytes, options.merge);
        let executor = Arc::clone(&store.env.executor);
        let background = Background::new(executor, store.log(), store.path());
        let files = FileSet::new(Arc::clone(&store), options.read, registry, files);
        let files = Arc::new(files);
        let views = Views::new(Arc::clone(&keydir));
        let rotation = Arc::new(Rotation::new(Arc::clone(&store), bytes, next_file_id));
        let damaged = Arc::new(DamagedFiles::new());
        let sealer = Sealer::new(&store, &files, &background, &damaged);
        let pressure = BackPressure::new(Arc::clone(&store), Arc::clone(&background), bytes, merge);
        let pressure = Arc::new(pressure);
        let survey = WasteSurvey::new(
            Arc::clone(&store),
            Arc::clone(&files),
            Arc::clone(&views),
            Arc::clone(&pressure),
            Arc::clone(&damaged),
        );
        let (sealer, survey) = (Arc::new(sealer), Arc::new(survey));
        Self {
            store,
            keydir,
            files,
            views,
            background,
            rotation,
            damaged,
            sealer,
            survey,
            pressure,
        }
    }
}
